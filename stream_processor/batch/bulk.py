"""Many rows of one lane at once. Pure; gives the same bits as `answers.prediction` and `count.count` row by row,
without their overhead."""

from datetime import datetime

from msgspec import Raw

from models.outputs import are_fails, verdict
from models.outputs import confidence as confidence_of
from rows.decode import Envelope, Opened
from schemas.messages import HISTOGRAM_BINS, LaneStats, Prediction, encode
from stream_processor.batch.answers import ScoredRow, prediction
from stream_processor.batch.reading import Span

Said = list[tuple[bytes | None, bytes | Prediction]]


def answer_all(span: Span, lane: LaneStats, now: datetime) -> Said:
    """Answer and count rows that all follow in their lane. The last prediction is still to be encoded: it may be given
    reasons."""
    rows, first, model = span.packet.rows, span.packet.identity, span.model
    assert model is not None
    threshold, bins, highest = model.bundle.manifest.threshold, HISTOGRAM_BINS, HISTOGRAM_BINS - 1
    answer = prediction(span.records[0], ScoredRow(Opened(first, Envelope(Raw(b""))), span.version, model), now)
    name, index, step = f"{first.run_id}:{first.attempt}:", first.row_index, first.lanes
    said: Said = []
    confidences, fails, histogram, failures = lane.confidence_sum, lane.probability_fail_sum, lane.histogram, 0
    compared = {
        (False, "PASS"): 0,
        (False, "FAIL"): 0,
        (True, "PASS"): 0,
        (True, "FAIL"): 0,
        (False, None): 0,
        (True, None): 0,
    }
    decided = are_fails(span.probabilities, threshold)
    columns = zip(
        span.places(), span.probabilities, decided, rows.sample_ids, rows.timestamps, rows.labels, strict=True
    )
    for (key, answer.source), probability, failed, sample, time, label in columns:
        answer.prediction_id = name + str(index)
        answer.row_index = index
        answer.sample_id = sample or f"SAMPLE_{index}"
        answer.row_timestamp = time
        answer.prediction = verdict(failed)
        answer.confidence = confidence = confidence_of(probability, failed)
        answer.probability_fail = probability
        answer.label = label
        said.append((key, encode(answer)))
        index += step
        failures += failed
        confidences += confidence
        fails += probability
        histogram[min(int(probability * bins), highest)] += 1
        compared[failed, label] += 1
    said[-1] = (key, answer)
    _count(lane, answer, len(said), failures)
    lane.confidence_sum, lane.probability_fail_sum = confidences, fails
    confusion = lane.confusion
    confusion.tp += compared[True, "FAIL"]
    confusion.fp += compared[True, "PASS"]
    confusion.tn += compared[False, "PASS"]
    confusion.fn += compared[False, "FAIL"]
    return said


def _count(lane: LaneStats, last: Prediction, rows: int, failures: int) -> None:
    lane.total += rows
    lane.fail_count += failures
    lane.pass_count += rows - failures
    lane.last, lane.last_row_index, lane.last_answered_index = last, last.row_index, last.row_index
    lane.dead_letters_in_a_row = 0
    lane.first_scored_at = lane.first_scored_at or last.scored_at
    lane.last_scored_at = last.scored_at
