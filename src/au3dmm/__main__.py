"""`python -m au3dmm` is `au3dmm`."""

from au3dmm.cli import main

if __name__ == "__main__":
    main()
