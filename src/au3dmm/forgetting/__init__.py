"""Remove a person who withdraws from everything that was made of a dataset."""

from au3dmm.forgetting.plan import ForgetPlan, plan_forgetting
from au3dmm.forgetting.removal import ForgetResult, forget

__all__ = ["ForgetPlan", "ForgetResult", "forget", "plan_forgetting"]
