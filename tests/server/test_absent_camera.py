"""Under a real viam-server: a recorder whose camera is not there, comes, goes, and comes again."""

from __future__ import annotations

from pathlib import Path

from tests.server.served_machine import (
    CAMERA,
    DATA_MANAGER,
    PAINTED_MODULE,
    RECORDER,
    ServedMachine,
    serve_machine,
)
from tests.support.machine import now_us


async def test_a_camera_that_is_not_there_at_first_is_recorded_once_it_comes(served: ServedMachine) -> None:
    await served.start()
    assert CAMERA in await served.until_reason("camera", CAMERA)
    assert "stored_video" in await served.command("get-storage-state")
    assert served.builds() == 1
    served.add_painted_camera()
    served.configure()
    assert (await served.fetch(*await served.recorded_from_now())).flawless
    assert served.builds() == 2


async def test_what_is_stored_can_be_had_while_the_camera_is_away(served: ServedMachine) -> None:
    served.add_painted_camera()
    await served.start()
    from_us, to_us = await served.recorded_from_now(3.0)
    await served.stop()
    del served.components[CAMERA]
    await served.start()
    await served.until_reason("camera", CAMERA)
    assert (await served.fetch(from_us, to_us)).flawless
    saved = await served.command("save", from_us=from_us, to_us=to_us)
    assert (served.upload / str(saved["filename"])).exists()


async def test_a_camera_that_cannot_be_built_is_recorded_once_its_attributes_are_right(served: ServedMachine) -> None:
    served.add_fake_camera(height=181)  # viam-server refuses an odd height
    await served.start()
    await served.until_reason("camera", CAMERA)
    served.add_fake_camera(animated=True)
    served.configure()
    await served.recorded_from_now()


async def test_a_camera_that_is_removed_and_comes_again_leaves_a_gap_and_nothing_else(served: ServedMachine) -> None:
    served.add_painted_camera()
    await served.start()
    before = await served.recorded_from_now()
    built = served.builds()
    pending = await served.command("save", from_us=before[0], to_us=now_us(), **{"async": True})
    camera = served.components.pop(CAMERA)
    served.configure()
    await served.until_reason("camera", CAMERA)
    await served.until_saved(pending)
    assert (await served.fetch(*before)).flawless
    served.components[CAMERA] = camera
    served.configure()
    after = await served.recorded_from_now()
    assert (await served.fetch(*after)).flawless
    assert (await served.fetch(*before)).flawless
    assert served.builds() == built + 2  # once for its going, once for its coming


async def test_a_camera_that_is_rebuilt_is_recorded_in_its_new_size(served: ServedMachine) -> None:
    served.add_painted_camera()
    await served.start()
    before = await served.recorded_from_now()
    served.add_painted_camera(480, 270, module=False)
    served.configure()
    await served.until_size(480, 270)
    assert (await served.fetch(*await served.recorded_from_now())).flawless
    assert (await served.fetch(*before)).flawless


async def test_a_camera_whose_module_is_killed_is_recorded_again(served: ServedMachine) -> None:
    served.add_painted_camera()
    await served.start()
    before = await served.recorded_from_now()
    built = served.builds()
    await served.kill(PAINTED_MODULE)
    killed_us = now_us()
    await served.until(lambda: served.delivered()[-1] > killed_us)  # viam-server has started it again
    assert (await served.fetch(*await served.recorded_from_now())).flawless
    assert (await served.fetch(*before)).flawless
    assert served.builds() <= built + 2


async def test_without_a_data_manager_the_camera_is_recorded(served: ServedMachine) -> None:
    served.add_painted_camera()
    served.services.clear()
    await served.start()
    assert (await served.fetch(*await served.recorded_from_now())).flawless


async def test_a_camera_of_another_machine_is_recorded_whenever_that_machine_runs(
    served: ServedMachine, tmp_path: Path
) -> None:
    (tmp_path / "yard").mkdir()
    async with serve_machine(served.server, tmp_path / "yard") as yard:
        yard.add_painted_camera()
        served.remotes["yard"] = {"address": yard.address, "insecure": True}
        await served.start()
        await served.until_reason("camera", CAMERA)
        await yard.start()
        before = await served.recorded_from_now()
        assert (await served.fetch(*before, yard.delivered())).flawless
        await yard.stop()
        await served.until_reason("camera", CAMERA)
        assert (await served.fetch(*before, yard.delivered())).flawless
        await yard.start()
        assert (await served.fetch(*await served.recorded_from_now(), yard.delivered())).flawless


async def test_a_recorder_that_names_its_camera_in_depends_on_is_built_after_it(served: ServedMachine) -> None:
    served.add_painted_camera()
    served.components[RECORDER]["depends_on"] = [CAMERA, DATA_MANAGER]
    await served.start()
    assert (await served.fetch(*await served.recorded_from_now())).flawless
    assert served.builds() == 1
