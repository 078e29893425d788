from __future__ import annotations

from tests.support.recording import US
from videostore.recording.frame_tally import FAULTY_AFTER_S, SILENT_AFTER_S, FrameTally, Verdict


class Scene:
    """A tally whose time a test moves."""

    def __init__(self, *, copies: bool = False) -> None:
        self.now_s = 0.0
        self.came_out: list[int] = []
        self.tally = FrameTally("mjpeg", self.came_out.append, now_s=lambda: self.now_s, copies=copies)

    def put(self, *times_us: int) -> None:
        for time_us in times_us:
            self.tally.went_in(time_us)

    def judge(self, after_s: float = 0, *, drained: bool = True) -> Verdict:
        self.now_s += after_s
        return self.tally.judge(drained=drained)


def test_a_frame_that_comes_out_tells_which_before_it_did_not() -> None:
    scene = Scene()
    scene.put(1, 2, 3, 4, 5)
    for time_us in (1, 3, 5):
        scene.tally.came_out(time_us)
    assert (scene.came_out, scene.tally.recorded, scene.tally.faulty, scene.tally.last_us) == ([1, 3, 5], 3, 2, 5)


def test_frames_that_do_not_come_out_are_faulty_when_ffmpeg_complains_and_has_read_them() -> None:
    scene = Scene()
    scene.put(0)
    scene.tally.came_out(0)
    scene.put(*(number * US // 10 for number in range(1, 20)))
    assert scene.judge(2) is Verdict.FINE  # it may be slow
    scene.tally.complained("[mjpeg] overread 8")
    assert scene.judge(drained=False) is Verdict.FINE and scene.tally.faulty == 0
    assert scene.judge() is Verdict.FAULTY and scene.tally.faulty == 19


def test_one_faulty_frame_is_counted_but_nothing_that_lasts() -> None:
    scene = Scene()
    scene.put(*(number * US // 10 for number in range(10)))
    for number in range(9):
        scene.tally.came_out(number * US // 10)
    scene.tally.complained("[mjpeg] overread 8")
    assert scene.judge(FAULTY_AFTER_S) is Verdict.FINE and scene.tally.faulty == 1


def test_a_slow_camera_may_send_two_faulty_frames_before_it_is_a_gap() -> None:
    scene = Scene()
    scene.put(0, 20 * US, 40 * US)
    for time_us in (0, 20 * US, 40 * US):
        scene.tally.came_out(time_us)
    verdicts = []
    for time_us in (60 * US, 80 * US, 100 * US):
        scene.put(time_us)
        scene.tally.complained("[mjpeg] overread 8")
        verdicts.append(scene.judge(20))
    assert verdicts == [Verdict.FINE, Verdict.FINE, Verdict.FAULTY]


def test_a_frame_that_was_only_late_is_not_faulty() -> None:
    scene = Scene()
    scene.put(1, 2)
    scene.tally.complained("[mjpeg] overread 8")
    scene.judge(2)
    assert scene.tally.faulty == 2
    scene.tally.came_out(2)
    assert (scene.tally.faulty, scene.came_out) == (1, [2])


def test_what_the_decoder_says_tells_more_than_what_follows() -> None:
    scene = Scene()
    scene.tally.complained("Error while decoding stream #0:0: Invalid data.")
    assert not scene.tally.undecodable
    scene.tally.complained("[mjpeg] unsupported coding type (c9).")
    scene.tally.complained("Error while decoding stream #0:0: Invalid data.")
    assert scene.tally.complaint == scene.tally.last_complaint == "[mjpeg] unsupported coding type (c9)"
    assert scene.tally.undecodable


def test_an_ffmpeg_that_makes_nothing_of_many_frames_is_silent() -> None:
    scene = Scene()
    scene.put(*range(100))
    assert scene.judge(SILENT_AFTER_S / 2) is Verdict.FINE
    assert scene.judge(SILENT_AFTER_S) is Verdict.SILENT


def test_an_encoder_that_writes_nothing_of_many_frames_is_silent() -> None:
    scene = Scene()
    for time_us in range(100):
        scene.put(time_us)
        scene.tally.came_out(time_us)
    scene.tally.written_until(50)
    assert scene.judge(SILENT_AFTER_S + 1) is Verdict.FINE  # it has written since
    for time_us in range(100, 200):
        scene.put(time_us)
        scene.tally.came_out(time_us)
    assert scene.judge(SILENT_AFTER_S + 1) is Verdict.SILENT
    scene.tally.written_until(150)
    assert scene.judge() is Verdict.FINE


def test_a_slow_camera_or_a_slow_encoder_is_not_silent() -> None:
    scene = Scene()
    for number in range(20):
        scene.put(number * 20 * US)
        assert scene.judge(19) is Verdict.FINE
        scene.tally.came_out(number * 20 * US)
    scene.put(*range(10**9, 10**9 + 200))
    assert scene.judge(60, drained=False) is Verdict.FINE


def test_copied_frames_come_out_as_far_as_was_written() -> None:
    scene = Scene(copies=True)
    scene.put(1, 2, 3)
    scene.tally.came_out_until(2)
    scene.tally.complained("[mp4] non-monotonic DTS")
    assert scene.judge(5) is Verdict.FINE
    assert (scene.came_out, scene.tally.faulty) == ([1, 2], 0)


def test_each_copied_frame_is_counted_once_also_if_one_is_decoded_before_another_that_is_shown_earlier() -> None:
    scene = Scene(copies=True)
    order = [0, 30, 10, 20, 60, 40, 50, 90]
    for written, time_us in enumerate(order, 1):
        scene.put(time_us)
        scene.tally.came_out_until(time_us if written % 3 else 0)
        assert scene.tally.faulty == 0
    scene.tally.came_out_until(max(order))
    scene.tally.settle()
    assert (sorted(scene.came_out), scene.tally.recorded, scene.tally.faulty) == (sorted(order), len(order), 0)


def test_frames_that_came_out_but_are_in_no_file_are_lost() -> None:
    scene = Scene()
    scene.put(*range(0, 100, 10))
    for time_us in (0, 10, 30, 40, 50, 60):
        scene.tally.came_out(time_us)
    assert scene.tally.lose_behind(29, 0) == (3, 3)  # a file tells times a microsecond too early
    assert (scene.tally.recorded, scene.tally.faulty, scene.tally.waiting) == (3, 1, 3)


def test_of_a_run_without_a_file_all_frames_are_lost() -> None:
    scene = Scene()
    scene.put(5, 6, 7)
    scene.tally.came_out(5)
    assert scene.tally.lose_behind(4, 5) == (1, 2) and scene.tally.recorded == 0


def test_without_knowing_what_is_in_a_file_only_what_never_came_out_is_lost() -> None:
    scene = Scene()
    scene.put(5, 6, 7)
    scene.tally.came_out(5)
    assert scene.tally.lose_behind(None, 5) == (0, 2) and scene.tally.recorded == 1


def test_copied_frames_that_are_in_a_file_are_recorded_also_if_that_was_not_reported_yet() -> None:
    order = [0, 30, 10, 20, 60, 40, 50, 90, 70, 80]
    for reported in range(len(order)):
        for last in range(len(order)):
            scene = Scene(copies=True)
            scene.put(*order)
            for time_us in order[:reported]:
                scene.tally.came_out_until(time_us)
            unwritten, waiting = scene.tally.lose_behind(order[last], 0)
            assert unwritten + waiting == len(order) - last - 1
            assert (scene.tally.recorded, scene.tally.faulty) == (last + 1, 0)


def test_what_waits_is_bounded() -> None:
    scene = Scene()
    scene.put(*range(100_000))
    assert len(scene.tally._waiting) == 2000 and scene.tally.faulty == 98_000
