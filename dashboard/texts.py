"""Every English text of the pages, in one place."""

from typing import Final

NAME: Final = "IntelliInspect"
NAV: Final = {"/": "Guide", "/runs": "Runs", "/models": "Models", "/dead-letters": "Dead letters", "/system": "System"}
SKIP: Final = "Skip to the content"
THEME: Final = {"auto": "Colours: as the system", "light": "Colours: light", "dark": "Colours: dark"}
GATEWAY_DOWN: Final = "The gateway does not answer. This page goes on by itself as soon as it does."
GATEWAY_UNREADY: Final = "The gateway answers, but a part that it needs is down. This page goes on by itself."
NOT_FOUND: Final = "This does not exist, or not in this workspace."
REFUSED: Final = "The gateway refused this"
FAULT: Final = "The gateway failed. Please report this."
STATUS: Final = {
    "PENDING": "Waiting",
    "IN_PROGRESS": "Running",
    "PAUSED": "Paused",
    "COMPLETED": "Completed",
    "FAILED": "Failed",
    "STOPPED": "Stopped",
}
STEPS: Final = (
    ("Upload", "a CSV of inspected parts"),
    ("Ranges", "three spans of time"),
    ("Train", "a model"),
    ("Simulate", "score row by row"),
)

UPLOAD_TITLE: Final = "Upload inspection data"
UPLOAD_LEAD: Final = (
    "One row per inspected part: sensor readings, and whether the part passed. The columns for label, id and time are"
    " found by themselves and can be changed afterwards."
)
UPLOAD_DROP: Final = "Drop a CSV file here"
UPLOAD_CHOOSE: Final = "Choose a file"
UPLOAD_RULES: Final = (
    "CSV, TSV or TXT, plain or gzip · any usual separator and encoding · empty cells are missing values"
)
UPLOAD_SENDING: Final = "Sending {name} to the gateway"
UPLOAD_READING: Final = "Reading, checking and storing {name}"
UPLOAD_REFUSED: Final = "The file was not accepted"
UPLOAD_RECENT: Final = "Go on with a dataset"
UPLOAD_NONE: Final = "No datasets yet."
COLUMNS_DATASETS: Final = ("dataset", "file", "records ", "features ", "pass rate ", "size ", "uploaded (UTC)")

DATASET_LEAD: Final = "Check how the file was read, then choose the ranges."
RECORDS, COLUMNS, PASS_RATE, TIME_RANGE, FILE_SIZE, FEATURES = (
    "Records",
    "Columns",
    "Pass rate",
    "Time range",
    "Size",
    "Features",
)
LABEL_TITLE: Final = "What PASS and FAIL mean"
ROWS: Final = "{count} rows"
READ_TITLE: Final = "How the file is read"
DETECTED, GIVEN = "detected", "chosen"
LABEL, ID, TIME, ROW_NUMBER = "Label", "Id", "Time", "the row number"
CHANGE_TITLE: Final = "Read it differently"
CHANGE_TEXT: Final = "Makes a new dataset from the same file; this one stays as it is."
CHANGE_AGAIN: Final = "Read again with these settings"
CHANGE_GONE: Final = "The file is not kept here any more. Upload it again to read it differently."
CHANGE_DETECT: Final = "detect"
PASS_VALUE: Final = "Value that means PASS"
LABEL_COLUMN, ID_COLUMN, TIME_COLUMN = "Label column", "Id column (or empty)", "Time column (or empty)"
UPLOAD_FIELDS: Final = {
    "label": LABEL_COLUMN,
    "pass_value": PASS_VALUE,
    "id_column": ID_COLUMN,
    "time_column": TIME_COLUMN,
    "time_format": "How times are written: %d.%m.%Y %H:%M, dmy, epoch-ms, excel, elapsed-s",
    "time_zone": "Time zone, such as Europe/Berlin",
    "decimal": "Decimal sign: . or ,",
    "thousands": "Sign that groups thousands",
    "separator": "Separator: , ; | tab or space",
    "encoding": "Encoding, such as cp1252",
    "header": "Does the first line name the columns? yes or no",
    "na_values": "More words for missing, between commas",
    "exclude": "Columns that are no features, between commas",
    "max_unread_share": "Share of a column that may be unreadable, 0 to 1",
}
"""Every setting of an upload, by its name in the request."""
EXCLUDE: Final = "Columns that are no features"
REPORT_TITLE: Final = "What to know of this file"
REPORT_NONE: Final = "Everything was read as it stands."
REPORT_LEFT_OUT: Final = "{count} columns are no features"
REPORT_OVER_TIME: Final = "Failures over time"
COLUMNS_OVER_TIME: Final = ("from (UTC)", "rows ", "FAIL ", "share ")
REPORT_SUSPECTS: Final = "May give the label away"
NO_LABEL: Final = "no label"
PREVIEW: Final = "First rows"
MISSING_TITLE: Final = "Missing values by column"
MISSING_NONE: Final = "No value is missing in any column."
MISSING_TEXT: Final = "{count} of {total} columns have missing values; the {shown} with the most are shown."
MISSING_VALUE: Final = "missing"
ALL_COLUMNS: Final = "All {count} columns"
FIND_COLUMN: Final = "Find a column"
COLUMNS_COLUMNS: Final = ("column", "type", "missing ", "share ", "remark")
COLUMN_TYPES: Final = {
    "numeric": "number",
    "datetime": "time",
    "boolean": "yes or no",
    "text": "text",
    "empty": "empty",
}
CONSTANT: Final = "one value only"
RANKING: Final = "Features are being ranked"
RANKED: Final = "Features are ranked, {selected} of {considered} are used; the strongest"
RANKING_FAILED: Final = "Ranking the features failed"
TO_RANGES: Final = "Choose the ranges"

RANGES_TITLE: Final = "Choose three spans of time"
RANGES_LEAD: Final = (
    "The model learns from the first, is measured on the second, and the third is replayed row by row as if it came"
    " from the line."
)
RANGES_SUGGEST: Final = "Suggest 60 / 20 / 20"
RANGES_SPLIT: Final = "Split and go on"
RANGES_REFUSED: Final = "These ranges cannot be used"
RANGES_SLIDE: Final = "Drag the ends or the whole range, move them with the arrow keys, or type exact times below."
RANGE_START, RANGE_END = "start", "end"
ROWS_WORD: Final = "rows"
SETS_NOTICES: Final = "What to know of these sets"
SETS: Final = {"train": "Training", "test": "Test", "simulation": "Simulation"}
OUTSIDE: Final = "Outside"
OUTSIDE_NOTE: Final = "in none of the three"
START, END = "Start (UTC)", "End (UTC)"
FAILURES: Final = "FAIL"
TIMELINE: Final = "Records and failures over time"
SPLITS_TITLE: Final = "Splits of this dataset"
COLUMNS_SPLITS: Final = ("split", "training rows ", "test rows ", "simulation rows ", "made (UTC)")

TRAIN_TITLE: Final = "Train a model"
TRAIN_LEAD: Final = (
    "The settings are good for a start. Training rows that a model has not learnt from tell when to stop, and which"
    " threshold is best."
)
TRAIN_START: Final = "Start training"
TRAIN_OBJECTIVE: Final = "Choose the threshold by"
OBJECTIVES: Final = {"mcc": "best MCC", "f1": "best F1", "cost": "lowest cost", "fixed": "a fixed value"}
COST_FP, COST_FN, THRESHOLD = "Cost of a false alarm", "Cost of a missed failure", "Threshold"
PARAMETERS: Final = "Parameters of the model"
PARAMETER_NAMES: Final = {
    "n_estimators": "Rounds at most",
    "max_depth": "Depth of a tree",
    "learning_rate": "Learning rate",
    "subsample": "Share of rows per tree",
    "colsample_bytree": "Share of features per tree",
    "scale_pos_weight": "Weight of a FAIL row",
    "early_stopping_rounds": "Stop after rounds without gain",
    "validation_fraction": "Share kept for validation",
}
SEED: Final = "Seed"
TRAININGS_TITLE: Final = "Trainings of this split"
COLUMNS_TRAININGS: Final = ("training", "status", "MCC ", "F1 ", "started (UTC)")
TRAINING_TITLE: Final = "Training"
ROUND_OF: Final = "round {iteration} of at most {of}"
TIME_LEFT: Final = "about {time} left"
TRAINING_CANCEL: Final = "Cancel"
TRAINING_FAILED: Final = "The training failed"
TRAINING_STOPPED: Final = "The training was cancelled."
METRICS: Final = {
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "f1_score": "F1",
    "mcc": "MCC",
    "roc_auc": "ROC AUC",
}
MODEL_METRICS: Final = {**METRICS, "pr_auc": "PR AUC"}
METRIC_HINTS: Final = {
    "accuracy": "share of rows predicted right",
    "precision": "share of the alarms that were failures",
    "recall": "share of the failures that were found",
    "f1_score": "balance of precision and recall",
    "mcc": "0 is chance, 1 is perfect",
    "roc_auc": "0.5 is chance, 1 is perfect",
    "pr_auc": "the share of failures is chance, 1 is perfect",
}
ON_TEST: Final = "Measured on the test set, {rows} rows, at threshold {threshold}. FAIL is the positive class."
CONFUSION: Final = "Confusion matrix"
PREDICTED_FAIL, PREDICTED_PASS, IS_FAIL, IS_PASS = "predicted FAIL", "predicted PASS", "is FAIL", "is PASS"
TRUE_POSITIVES, FALSE_NEGATIVES, FALSE_POSITIVES, TRUE_NEGATIVES = "found", "missed", "false alarms", "right"
LOSS, ACCURACY, ROC, PRECISION_RECALL = "Loss by round", "Accuracy by round", "ROC curve", "Precision and recall"
SERIES_TRAIN, SERIES_VALIDATION, BEST_ROUND = "training", "validation", "best round"
SERIES_TEST, CHANCE = "test", "chance"
DESK_TITLE: Final = "Threshold desk"
DESK_LEAD: Final = "What another threshold would have meant on the validation rows. The model keeps its own."
DESK_OWN: Final = "the model's own: {value}"
DESK_COST: Final = "Cost at {fp} a false alarm and {fn} a missed failure"
LOG: Final = "Log of the training"
COLUMNS_LOG: Final = ("time (UTC)", "level", "source", "message")
TO_SIMULATE: Final = "Simulate with this model"

SIMULATE_TITLE: Final = "Replay the simulation set"
SIMULATE_LEAD: Final = "Each row goes through Kafka and is scored exactly once, at the pace you choose."
SIMULATE_START: Final = "Start the simulation"
SPEED, WARMUP, LANES = "Rows per second", "Warm-up, seconds", "Lanes"
SPEED_HINT: Final = "empty: as fast as possible"
RUNS_OF_MODEL: Final = "Runs of this model"

PAUSE, RESUME, STOP, SET_SPEED = "Pause", "Resume", "Stop", "Set the speed"
STEP, STEP_ROWS = "Step", "Rows"
FASTEST: Final = "as fast as possible"
ROW: Final = "Row"
SEEK, RETRY, REPLAY = "Go to this row", "Try again from this row", "Replay from this row"
SEEK_HINT: Final = (
    "Going ahead passes rows over; going back begins a new attempt, and earlier ones stay readable. A replay is a run"
    " of its own."
)
REPLAY_HINT: Final = "Another system sends these rows. A replay is a run of its own."
RETRY_HINT: Final = (
    "Trying again is a new attempt of this run, and earlier ones stay readable. A replay is a run of its own."
)
ATTEMPT_NUMBER: Final = "attempt {number}"
PASSED_OVER: Final = " · {rows} passed over"
SHOW: Final = "show"
STOP_SURE: Final = "Stop this run? It cannot go on afterwards; its numbers stay."
CANCEL: Final = "Cancel"
SCORED, PASSED, FAILED, CONFIDENCE, DEAD, PACE, QUALITY = (
    "Scored",
    "PASS",
    "FAIL",
    "Confidence",
    "Dead letters",
    "Pace",
    "Quality score",
)
AVERAGE: Final = "average"
LEFT: Final = " · {time} left"
UNIT_PACE: Final = "rows/s"
OF_ROWS: Final = "of {total} rows"
QUALITY_TITLE: Final = "Quality score of the last rows"
SHARE_TITLE: Final = "PASS and FAIL"
SCORES_TITLE: Final = "Scores of all rows"
SCORES_AXIS: Final = "P(FAIL)"
TRUTH_TITLE: Final = "Compared with the labels"
TRUTH_NONE: Final = "The rows have no labels so far."
LAST_ROWS: Final = "Last rows"
COLUMNS_ROWS: Final = ("row ", "sample", "prediction", "confidence ", "why", "truth", "row's time (UTC)")
REDRIVEN_ROW: Final = "↻ redriven"
RIGHT, WRONG = "right", "was {label}"
TOWARDS_FAIL, TOWARDS_PASS = "towards FAIL", "towards PASS"
NO_ROWS: Final = "No row has been scored yet."
WARMING_UP: Final = "The run warms up; the first row comes in a moment."
STREAM_LOST: Final = "The live stream is interrupted; it is taken up again by itself and nothing will be missing."
ROWS_SHOWN: Final = "At this pace the table shows the newest rows only; the figures count every row."
RUN_FACTS: Final = "This run"

RUNS_TITLE: Final = "Runs"
RUNS_LEAD: Final = "Every replay of a simulation set, newest first."
RUNS_FILTER: Final = "Status"
RUNS_ALL: Final = "all"
RUNS_NONE_MATCH: Final = "No run matches."
RUNS_NONE: Final = "No runs yet. The guide leads to the first one."
COLUMNS_RUNS: Final = ("run", "status", "scored ", "FAIL ", "dead letters ", "MCC ", "model", "started (UTC)")
COMPARE: Final = "Compare two runs"
COMPARE_LEAD: Final = "Which rows were judged differently, and how the figures differ."
RUN_A, RUN_B = "Run A", "Run B"
COMPARE_GO: Final = "Compare"
FLIPPED: Final = "Rows judged differently"
FLIPPED_NONE: Final = "No row was judged differently."
COLUMNS_FLIPPED: Final = ("row ", "sample", "A", "B", "P(FAIL) A ", "P(FAIL) B ", "label")
COLUMNS_DIFFERENCE: Final = ("figure", "A ", "B ", "difference ")
DOWNLOAD_CSV: Final = "Download as CSV"
DOWNLOAD_JSONL: Final = "Download as JSON lines"
HISTORY: Final = "All predictions"
MORE: Final = "Show more"

REPLAY_TITLE: Final = "Replay recorded rows"
REPLAY_LEAD: Final = (
    "The rows of this run are read from Kafka and sent again as a new run. Nothing of this run changes."
)
REPLAY_FROM: Final = "From row"
REPLAY_SAME_MODEL: Final = "the model that each row names"
REPLAY_START: Final = "Start the replay"
REPLAYED: Final = "Replay of"
SAME, PASS_TO_FAIL, FAIL_TO_PASS, ONLY_IN_A, ONLY_IN_B = (
    "Same",
    "PASS to FAIL",
    "FAIL to PASS",
    "Only in A",
    "Only in B",
)
JOINED_BY: Final = {
    "row_index": "Both have the rows of one split: row n is compared with row n.",
    "sample_id": "Rows are paired by their sample id, in the order of occurrence.",
}
SCORES_APART: Final = (
    "P(FAIL) apart by {mean} on average, {largest} at most; the distributions by {distance} (Kolmogorov–Smirnov)."
)
DIFFERENCES_COMMON: Final = "Figures of the rows that both have"
DIFF_NAMES: Final = {
    "total_predictions": SCORED,
    "pass_count": PASSED,
    "fail_count": FAILED,
    "average_confidence": "Confidence, average",
    "average_probability_fail": "P(FAIL), average",
    "labelled": "Rows with a label",
    "true_positives": "Failures found",
    "false_negatives": "Failures missed",
    "false_positives": "False alarms",
    "true_negatives": "PASS right",
    "dead_letters": DEAD,
    "passed_over": "Passed over",
    **METRICS,
}
DOWNLOAD_ZIP: Final = "Export everything (zip: CSV, JSON lines, manifest)"
ATTEMPTS: Final = "Attempts"
COLUMNS_ATTEMPTS: Final = (
    "attempt",
    "status",
    "scored ",
    "passed over ",
    "FAIL ",
    "dead letters ",
    "MCC ",
    "started (UTC)",
)
SHOWN_HERE: Final = "shown here"
FORMER_ATTEMPT: Final = "This is attempt {number} as it was; the newest is {newest}."

MODELS_TITLE: Final = "Models"
MODELS_LEAD: Final = (
    "Each training makes a new version that never changes. The champion scores rows that name no model."
)
MODELS_NONE: Final = "No models yet. The guide leads to the first one."
COLUMNS_MODELS: Final = ("model", "role", "MCC ", "F1 ", "recall ", "features ", "dataset", "trained (UTC)")
CHAMPION: Final = "champion"
MAKE_CHAMPION: Final = "Make champion"
CHAMPION_DOUBT: Final = "{doubt} Make it the champion all the same?"
MAKE_CHAMPION_ANYWAY: Final = "Make champion all the same"
IN_DOUBT: Final = "not shown to be better than all PASS"
ALL_PASS: Final = "all PASS: {value}"
INTERVAL: Final = "{low} to {high}"
CHAMPION_SURE: Final = "From the next row on, {model} scores every row that names no model."
MANIFEST: Final = "Manifest"
IMPORTANCE: Final = "Feature importance (gain)"
USED_BY: Final = "Runs that used it"
USED_BY_NONE: Final = "No run has used it yet."
WARNINGS: Final = "Mind"

LETTERS_TITLE: Final = "Dead letters"
LETTERS_LEAD: Final = (
    "Records that could not be scored, kept whole with the reason. Mend one and send it again: it counts once, in its"
    " place."
)
LETTERS_NONE: Final = "No dead letters: every record could be scored."
LETTERS_NONE_MATCH: Final = "No dead letter matches."
LETTERS_OLDER: Final = "Older letters are on the topic dead-letters.v1 alone."
LETTERS_UNPURGED: Final = "all but purged"
LETTER_TITLE: Final = "Dead letter"
LETTER_RUN: Final = "Run (id, then Enter)"
LETTER_STATES: Final = {"open": "Open", "redriven": "Redriven", "purged": "Purged"}
LETTER_SIGNS: Final = {"open": "✗ ", "redriven": "↻ ", "purged": "– "}
OUTCOMES: Final = {"answered": "answered", "dead_letter": "a dead letter again", "ignored": "ignored"}
REASONS: Final = {
    "undecodable": "not readable",
    "invalid_field": "invalid field",
    "missing_feature": "missing feature",
    "unknown_feature": "unknown feature",
    "unknown_model": "unknown model",
    "no_champion": "no champion",
    "oversized": "too large",
    "unsupported_encoding": "unknown encoding",
    "run_owned": "run of another sender",
    "wrong_topic": "on a wrong topic",
    "misplaced": "in a wrong partition",
    "not_owner": "not from the run's sender",
}
COLUMNS_LETTERS: Final = ("letter", "state", "reason", "field", "run", "row ", "occurred (UTC)")
LETTERS_SENT: Final = "{sent} of {matched} letters were sent; the list is read again in a moment."
REASON, FIELD, PLACE, PARTITION, OFFSET, KEY, OCCURRED, OUTCOME = (
    "Reason", "Field", "Came from", "partition", "offset", "Key", "Occurred (UTC)", "Redriven",
)  # fmt: skip
BODY: Final = "The record"
BODY_CUT: Final = "The end of this very large record is not kept."
NO_TEXT: Final = "Not text; the first bytes:"
LINES_ABOVE, LINES_BELOW = "{count} lines above", "{count} lines below"
FIELD_BAD, FIELD_MISSING = "this is wrong", "missing"
LETTER_ANSWERED: Final = "It was sent again and counts, once. The answer is"
LETTER_PURGED: Final = "It was taken off the list for good."
REPAIR_TITLE: Final = "Mend and send again"
REPAIR_LEAD: Final = (
    "The record goes to the same partition with the same identity, and is counted once, whatever is sent how often."
)
FIELD_HINT: Final = "a number, null for a missing value, or text"
EDIT_WHOLE: Final = "Edit the whole record"
REDRIVE: Final = "Redrive"
REDRIVE_FIELD, REDRIVE_WITHOUT, REDRIVE_SAME, REDRIVE_EDITED = (
    "Redrive with this value", "Redrive without this field", "Redrive as it was", "Redrive the edited record",
)  # fmt: skip
REDRIVE_ALL, PURGE_ALL, PURGE = "Redrive all that match", "Purge all that match", "Purge"
REDRIVE_ALL_SURE: Final = "Send every open letter that matches again, as it was?"
PURGE_SURE: Final = "Take every letter that matches off the list for good?"
PURGE_ONE_SURE: Final = "Take this letter off the list for good?"

SYSTEM_TITLE: Final = "System"
SYSTEM_LEAD: Final = "What runs, what is down, and what that means."
ALL_UP: Final = "Everything is up."
DOWN_PARTS: Final = {1: "A part is down.", 2: "{count} parts are down."}
STATE: Final = "State"
PARTS_TITLE: Final = "Parts"
PARTS: Final = {
    "gateway": "Gateway",
    "kafka": "Kafka",
    "redis": "Redis",
    "view": "View in Redis",
    "storage": "Storage",
    "producer": "Producer",
    "stream_processor": "Stream processor",
    "trainer": "Trainer",
}
PART_DOES: Final = {
    "gateway": "answers clients and pages",
    "kafka": "keeps every record",
    "redis": "holds what is shown",
    "view": "what is shown, made from Kafka",
    "storage": "datasets, splits, models",
    "producer": "sends the rows of runs",
    "stream_processor": "scores and counts rows",
    "trainer": "trains models, ranks features",
}
STATES: Final = {"up": "✓ up", "down": "✗ down", "unknown": "? unknown"}
NOT_KNOWN: Final = "not known while the gateway does not answer"
GATEWAY_MEANING: Final = "nothing can be seen or ordered; runs and trainings go on"
PROCESSES: Final = {1: "1 process", 2: "{count} processes"}
LAG: Final = "Lag"
LAG_HINT: Final = "records of rows that are not scored yet"
LAG_TITLE: Final = "Lag by partition"
LAG_RECORDS: Final = "records"
LATENCY: Final = "Latency"
LATENCY_NOTE: Final = "95 % within {p95}, of the last {rows} rows"
LATENCY_HINT: Final = "from a row's arrival in Kafka to its prediction"
LATENCY_NONE: Final = "no row has been scored"
COLUMNS_LAG: Final = ("topic", "partition", "end ", "scored up to ", "lag ")
THROUGHPUT_CARD: Final = "Throughput"
RECORDS_PER_SECOND: Final = "records/s"
THROUGHPUT: Final = "Rows scored per second, all active runs"
TOPICS_TITLE: Final = "Topics"
COLUMNS_TOPICS: Final = ("topic", "partitions ", "offsets ", "size ", "kept")
KEPT_FOR_EVER, KEPT_NEWEST = "for ever", "the newest of each key"
REDIS_MEMORY, REDIS_KEYS, REDIS_UPTIME, REDIS_CLIENTS, REDIS_LIMIT = "Memory", "Keys", "Up for", "Connections", "Limit"
REDIS_TITLE: Final = "Redis"
NO_LIMIT: Final = "none"
KAFKA_SILENT: Final = "Kafka does not answer, so this is not known."
GATEWAY_ADDRESS, WORKSPACE, VERSIONS, ACTIVE_RUNS = "Gateway", "Workspace", "Versions", "Active runs"
NO_ACTIVE_RUNS: Final = "No run is active."
RUN, MODEL, DATASET, SPLIT, STARTED, ENDED = "Run", "Model", "Dataset", "Split", "Started (UTC)", "Ended (UTC)"
COMPARED: Final = "Rows compared"
DIFFERENCES: Final = "Figures side by side"
TRAINED_BY, TRAINED, DATA_HASH, DOCUMENTATION = "Trained by", "Trained (UTC)", "Data (SHA-256)", "API documentation"
