"""Parameters of a training: every override that is accepted, its bounds and default. The gateway validates with it, the
trainer uses it."""

from pydantic import BaseModel, ConfigDict, Field


class TrainingParameters(BaseModel):
    """XGBoost's parameters under its own names, and how the validation rows are chosen. Unknown names are refused.

    The defaults leave the classes unweighted: measured on SECOM and on generated data with 0.6 % and 5 % failures,
    weights gave a lower MCC at the best threshold and a lower area under both curves, and spoil P(FAIL) as a
    probability. The threshold handles imbalance."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    n_estimators: int = Field(
        300, ge=1, le=5000, description="boosting rounds at most; early stopping usually ends before"
    )
    max_depth: int = Field(5, ge=1, le=16)
    learning_rate: float = Field(0.1, ge=0.001, le=1)
    subsample: float = Field(0.8, gt=0, le=1, description="share of the rows that each tree sees")
    colsample_bytree: float = Field(
        0.5, gt=0, le=1, description="share of the features that each tree sees; if nothing is said, 8 at least"
    )
    num_parallel_tree: int = Field(
        1, ge=1, le=32, description="trees of each round, averaged; on few rows 3, if nothing is said"
    )
    min_child_weight: float = Field(1.0, ge=0, le=10_000)
    reg_alpha: float = Field(0.0, ge=0, le=10_000)
    reg_lambda: float = Field(1.0, ge=0, le=10_000)
    gamma: float = Field(0.0, ge=0, le=10_000)
    max_bin: int = Field(256, ge=2, le=4096)
    scale_pos_weight: float = Field(1.0, gt=0, le=100_000, description="weight of a FAIL row against a PASS row")
    early_stopping_rounds: int = Field(
        30, ge=1, le=5000, description="stop after so many rounds without a lower validation loss"
    )
    validation_fraction: float = Field(
        0.2,
        ge=0.01,
        le=0.5,
        description=(
            "share of the training range, its end, kept for validation; if nothing is said, few rows are judged in"
            " folds"
        ),
    )
