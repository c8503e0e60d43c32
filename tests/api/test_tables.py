import pyarrow.parquet as pq

import au3dmm
from au3dmm.io.table_schemas import LATER
from run_folder import write_run


def test_labels_of_an_older_version_are_read_with_nulls_for_the_numbers_that_came_later(tmp_path):
    write_run(tmp_path)
    (path,) = tmp_path.glob("**/labels.parquet")
    table = pq.read_table(path)
    pq.write_table(table.drop_columns([name for name in LATER if name in table.column_names]), path)
    read = au3dmm.read_labels(path)
    assert {name: read[name].null_count for name in LATER} == dict.fromkeys(LATER, len(table))
    assert len(read) == len(table)
