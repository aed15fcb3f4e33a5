from gateway.predictions.offset_index import Landmarks

ENDS = {0: 10_000, 1: 10_000}


def test_rows_that_were_read_past_are_found_again_in_order_of_lane_and_row() -> None:
    landmarks = Landmarks(every_rows=10)
    for row_index in range(40):
        landmarks.note("run", 1, (row_index % 2, row_index, row_index % 2, 100 + row_index))
    assert landmarks.of("run", 1, ENDS) == [
        *((0, row_index, 0, 100 + row_index) for row_index in (0, 10, 20, 30)),
        *((1, row_index, 1, 100 + row_index) for row_index in (1, 11, 21, 31)),
    ]
    assert landmarks.of("run", 2, ENDS) == []


def test_an_offset_that_the_topic_has_not_reached_is_of_another_topic() -> None:
    landmarks = Landmarks(every_rows=10)
    landmarks.note("run", 1, (0, 5, 0, 50))
    assert landmarks.of("run", 1, {0: 50}) == []
    assert landmarks.of("run", 1, {0: 51}) == [(0, 5, 0, 50)]


def test_what_was_not_asked_for_longest_is_forgotten() -> None:
    landmarks = Landmarks(most_attempts=2)
    landmarks.note("a", 1, (0, 0, 0, 1))
    landmarks.note("b", 1, (0, 0, 0, 2))
    assert landmarks.of("a", 1, ENDS)
    landmarks.note("c", 1, (0, 0, 0, 3))
    assert (landmarks.of("a", 1, ENDS), landmarks.of("b", 1, ENDS)) == ([(0, 0, 0, 1)], [])


def test_of_places_searched_in_vain_the_furthest_and_the_newest_are_kept() -> None:
    landmarks = Landmarks(most_passed=2)
    landmarks.passed("run", 1, (0, 0, 0, 50))
    landmarks.passed("run", 1, (0, 0, 0, 40))
    landmarks.passed("run", 1, (0, 9, 0, 60))
    assert landmarks.of("run", 1, ENDS) == [(0, 0, 0, 50), (0, 9, 0, 60)]
    landmarks.passed("run", 1, (0, 12, 0, 60))
    assert landmarks.of("run", 1, ENDS) == [(0, 9, 0, 60), (0, 12, 0, 60)]
