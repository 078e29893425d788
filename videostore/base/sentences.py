"""The sentences of all errors by their codes: what went wrong, then what to do.

Each table belongs to the class of `videostore.base.errors` with its name. A field of the error is in braces, and its
form follows the colon (see `Style`). A code never changes its meaning: clients compare codes. Clients of the Go module
search for some words, which must stay: tests/viam/test_commands.py lists them.

It is long because the sentences of all errors are read, compared and changed together.
"""

from __future__ import annotations

CONFIG = {
    "attribute-missing": "{attribute:the attribute} is missing. It must be {expected}.",
    "attribute-misspelt": "{attribute:the attribute} is missing. It must be {expected}."
    " Is {found:name} a misspelling of it?",
    "attribute-wrong": "{attribute:the attribute} is {value:value}. It must be {expected}.",
    "attribute-entry-wrong": "{attribute:the attribute} contains {value:value}. Each entry must be {expected}.",
    "attribute-unfit": "{attribute:the attribute} is {found}. It must be {expected}.",
    "paths-nested": "{attribute:attribute} ({value:value}) and {other:attribute} ({other_value:value}) must be separate"
    " directories, neither inside the other: the data manager deletes what it has uploaded.",
    "name-no-directory": "The component name {value:value} cannot be used as a directory name. Rename the component.",
    "name-too-long": "The component name {value:value} is {length} bytes long. It can have at most {limit}. Rename the"
    " component.",
    "floor-beyond-device": "{attribute:the attribute} is {value:value}. It must be less than the size of the"
    " device that holds {path:path}, which is {device_bytes:GiB}.",
    "encoder-unavailable": "{attribute:the attribute} is {value:value}, but this ffmpeg has no such encoder."
    " Use one of {available}.",
    "no-encoders": "{attribute:the attribute} is {value:value}, but this ffmpeg has no usable encoder. Set"
    " VIDEOSTORE_FFMPEG to another ffmpeg.",
    "camera-wrong": "{attribute:the attribute} is {value:value}, which is a {found}. It must be a camera.",
    "recorder-and-attributes": "{attribute:the attribute} is {value:value}, so the service uses that recorder. Remove"
    " it, or remove {others}, which are of a recorder of its own.",
    "web-needs-password": "{attribute:the attribute} is {value:value}, so that others than this machine reach the page."
    " It needs a password: name a file that holds one in {other:attribute}, or a variable of the environment in"
    " {variable:attribute}.",
    "web-password-in-config": "{attribute:the attribute} is not an attribute: a config is no place for a password."
    " Write it to a file and name that in {other:attribute}, or name a variable of the environment in"
    " {variable:attribute}.",
    "web-two-passwords": "{attribute:the attribute} and {other:attribute} are both set. Leave out one of them.",
    "web-differs": "The attribute web of {name:value} and that of {other:value} use the same port of this machine,"
    " {address}, but differ in {differing}. Make them the same, or choose another port.",
    "password-unreadable": "The password cannot be read from {path:path}: {reason:reason}.",
    "password-not-safe": "The password in {path:path} is not safe: {reason:reason}. The file must belong to the user"
    " that runs this program, or to root, and only its owner and group may read it: chmod 640.",
    "password-unset": "The password cannot be read: the environment variable {variable} is not set.",
    "password-unfit": "The password in {source} must be one line of {least} to {most} characters.",
    "data-manager-wrong": "{attribute:the attribute} is {value:value}, which is a {found}. It must be the"
    " data manager service.",
}

TIMESTAMP = {
    "timestamp-missing": 'parsing time "{field}": the field is missing, {field} timestamp not found. Use {expected}.',
    "timestamp-form": 'parsing time "{field}": {value:value} does not have the form {expected}.',
    "timestamp-no-date": 'parsing time "{field}": {value:value} is not a valid date. The form is {expected}.',
    "timestamp-beyond": 'parsing time "{field}": {value:value} is outside the times that can be recorded and asked for,'
    " {expected}.",
    "timestamp-skipped": 'parsing time "{field}": {value:value} did not exist here: clocks skipped it. Use {before} or'
    " {after}, or UTC.",
    "time-type": "{field:field} is {value:value}. It must be whole microseconds since 1970 (UTC), a datetime, or a text"
    " such as '2026-11-22T16:39:20Z'.",
    "time-form": "{field:field} is not a valid time: {value:value}. Use {expected}.",
    "time-beyond": "{field:field} is {value:value}, which is outside the times that can be recorded and asked for,"
    " {expected}.",
    "time-skipped": "{field:field} is {value:value}, which did not exist here: clocks skipped it. Use {before} or"
    " {after}, or add a UTC offset.",
    "length-form": "{field:field} is {value:value}. It must be a length such as {sign}90s, {sign}5m or {sign}1h30m,"
    " with the units w, d, h, m and s.",
    "start-in-future": "{field:field} is {value:value}, which is in the future. Only the end of a range can"
    " be a length after its start.",
}

NO_MATCH = " So there is no matching video data to save."
"""What clients of the Go module look for in an answer. A style can leave it out."""

NOTHING_STORED = {
    "storage-empty": "Nothing is stored in the range from {asked:range}: the storage is empty, no storage files found.",
    "nothing-in-range": "Nothing is stored in the range from {asked:range}{reason:because}. The nearest stored"
    " range is from {nearest:range}. So there is no matching video data to save.",
    "no-frame-in-range": "No frame was captured in the range from {asked:exact range}. The nearest two were captured at"
    " {before_us:exact} and {after_us:exact}. So there is no matching video data to save.",
    "no-frame-after": "No frame was captured in the range from {asked:exact range}. The last one before it was captured"
    " at {before_us:exact}. So there is no matching video data to save.",
    "no-frame-before": "No frame was captured in the range from {asked:exact range}. The first one after it was"
    " captured at {after_us:exact}. So there is no matching video data to save.",
    "moment-in-gap": "Nothing is stored of {at_us:time}{reason:because}. The nearest frames were captured at"
    " {before_us:exact} and {after_us:exact}.",
    "moment-after-last": "Nothing is recorded at {at_us:time}. The last frame before it was captured at"
    " {before_us:exact}.",
    "moment-before-first": "Nothing is stored of {at_us:time}. The first frame after it was captured at"
    " {after_us:exact}.",
    "no-moment": "Nothing is stored of {at_us:time}: the storage is empty.",
    "no-recording": "There is no recording in {path}. Name a storage directory.",
}

UNREADABLE_RANGE = {
    "range-unreadable": "The recording of the range from {asked:range} cannot be read: its files are damaged or"
    " deleted.",
    "moment-unreadable": "The recording at {at_us:time} cannot be shown: it came damaged, or its file is damaged or"
    " deleted.",
}

TOO_LARGE = {
    "clip-too-large": "The clip is about {size_bytes:MiB}; a grpc response holds at most {limit_bytes:MiB}. Fetch at"
    " most {longest_s:s} at a time, or save the clip.",
    "limit-too-small": "The clip is about {size_bytes:MiB}; the limit of {limit_bytes:MiB} is too small for any part of"
    " it. Raise the limit, or save the clip.",
    "answer-too-large": "The response of {component} is too large for the connection. Ask for a shorter range.",
}

NO_ROOM = {
    "no-room-for-clip": "The clip needs about {size_bytes:MiB}, but the disk of {path} has room for {free_bytes:MiB}."
    " Ask for at most {longest_s:s}, or free some space.",
    "held-fills-quota": "Clips that are not written yet hold {held_bytes:MiB} of the quota of {quota_bytes:MiB}, and"
    " this one would hold {size_bytes:MiB} more: too little would be left for new video. Save again when they are"
    " written.",
    "kept-fills-half": "Events keep {kept_bytes:MiB} already, and this one would keep {size_bytes:MiB} more. At most"
    " half of the quota can be kept, {limit_bytes:MiB}. Release another event with 'unmark', or raise the quota.",
    "import-beyond-quota": "{path} needs about {size_bytes:MiB}, but {free_bytes:MiB} are left of the quota of"
    " {quota_bytes:MiB}, so older video would be deleted at once. Import into a directory of its own, or raise the"
    " quota.",
    "import-beyond-disk": "{path} needs about {size_bytes:MiB}, but the disk of {directory} has room for"
    " {free_bytes:MiB}. Free some space, or import into another directory.",
    "no-room-to-cut": "Making this clip needs about {size_bytes:MiB} of temporary space, but {path} has"
    " {free_bytes:MiB}. Ask for a shorter range, or free some space.",
    "no-room-to-cut-in-either": "Making this clip needs about {size_bytes:MiB} of temporary space, but neither {path}"
    " nor {other} has more than {free_bytes:MiB}. Ask for a shorter range, or free some space.",
}

UNKNOWN_SAVE = {
    "save-unknown": "'filename' is {value:value}, but no save with this name is known. Use the 'filename' from the"
    " response to a save.",
}

FFMPEG = {
    "ffmpeg-not-runnable": "{variable} is {value:path}, which is not a program that can be run. Set it to an ffmpeg,"
    " or unset it.",
    "ffmpeg-missing": "No ffmpeg was found. Install the package imageio-ffmpeg, or set {variable} to an ffmpeg.",
    "ffmpeg-is-not": "{path} is not an ffmpeg: it does not answer `-version` as ffmpeg does. Set {variable} to another,"
    " or unset it to use the bundled one.",
    "ffmpeg-too-old": "The ffmpeg at {path} is version {version}. It must be {oldest} or later: set {variable} to"
    " another ffmpeg, or unset it to use the bundled one.",
    "ffmpeg-not-started": "ffmpeg cannot be started: {path}: {reason:reason}.",
    "ffmpeg-timeout": "ffmpeg did not finish within {timeout_s:s}.",
    "ffmpeg-failed": "ffmpeg failed (exit code {exit_code}): {reason:reason}.",
    "ffmpeg-ended": "ffmpeg exited.",
    "ffmpeg-ended-early": "ffmpeg exited (exit code {exit_code}): {reason:reason}.",
    "storage-full": "{path:path} had no room for the recording, {free_bytes:MiB} are free on its disk. Make room there,"
    " and recording goes on by itself. ffmpeg said: {reason:reason}.",
    "storage-full-files": "{path:path} takes no more files: its disk has no inodes left. Delete other files there, and"
    " recording goes on by itself. ffmpeg said: {reason:reason}.",
    "storage-full-quota": "{path:path} had no room for the recording: a quota of its disk is used up. Raise it or make"
    " room there, and recording goes on by itself. ffmpeg said: {reason:reason}.",
    "ffmpeg-stuck": "ffmpeg accepted no image for {timeout_s:s}.",
    "ffmpeg-reads-nothing": "ffmpeg has read no image for {timeout_s:s}. Perhaps the disk of {path:path} hangs.",
    "recording-held-up": "The disk of {path:path} does not respond: {reason}.",
    "ffmpeg-writes-nothing": "ffmpeg wrote nothing for {timeout_s:s}.",
    "segment-unfinished": "ffmpeg did not finish its segment within {timeout_s:s}.",
    "clip-failed": "The clip could not be made. See the module's log for the reason.",
    "clip-failed-because": "The clip could not be made: {reason:reason}.",
    "clip-incomplete": "The clip is not complete: part of its recording became unreadable. Ask again for the rest.",
    "stream-format-changed": "The video changes its size or its coding, or has sound, from {at_us:time} on, which a"
    " stream that has begun cannot take in. Ask for the rest from that time on.",
}

STORE = {
    "stream-clock-set-back": "The clock was set back, to {at_us:time}, which this video has passed. Ask for the rest"
    " from that time on.",
    "web-port-taken": "Nothing can be served at {address}: another program uses this port. End it, or choose another"
    " port.",
    "web-ask-failed": "The recorder could not do it: {reason:reason}.",
    "web-ended": "The server of the page at {address} ended ({reason:reason}) and is started again.",
    "web-not-served": "Nothing can be served at {address}: {reason:reason}.",
    "storage-missing": "There is no storage directory {path}. Check the path.",
    "storage-not-created": "{attribute:attribute} {path:path} cannot be created: {reason:reason}. Name a directory that"
    " exists, or that this user may create.",
    "storage-unusable": "The storage at {path} cannot be used: {reason:reason}.",
    "storage-unreadable": "The storage at {path} cannot be read: {reason:reason}.",
    "index-not-repaired": "The segments at {path} are repaired, but the index cannot be kept there: {reason:reason}.",
    "storage-limited": "The storage at {path} is full ({reason:reason}): its oldest segments are deleted to make room.",
    "notes-unread": "{path} cannot be read: {reason:reason}. It tells which footage is kept, so all that was stored"
    " before is passed over by the quota, which is half as large again meanwhile.",
    "storage-not-repaired": "The storage at {path} cannot be repaired: {reason:reason}.",
    "storage-in-use": "{attribute:attribute} {path:path} is used by {holder}. Give each recorder its own directory.",
    "import-while-recording": "{path} is being recorded to. Import into a directory of its own.",
    "storage-device-gone": "The device of {attribute:attribute} {path:path} is gone. Recording resumes when it is"
    " back.",
    "storage-stalled": "The disk of {attribute:attribute} {path:path} does not respond within {timeout_s:s}. Check the"
    " disk, and the server of a network share.",
    "storage-replaced": "The storage directory was replaced while it was being read. It is being read again.",
    "storage-trouble": "{reason:reason}.",
    "upload-path-unusable": "{attribute:attribute} {path:path} cannot be used: {reason:reason}. Name a directory that"
    " exists, or that this user may create.",
    "upload-device-gone": "The device of {attribute:attribute} {path:path} is gone.",
    "index-rebuilding": "The index is being rebuilt ({count} files left). Try again later, ask for newer video, or save"
    " with async.",
    "recording-unreadable": "The recording cannot be read at the moment: {reason:reason}.",
    "event-not-noted": "The event cannot be noted in {path}: {reason:reason}.",
    "picture-not-written": "The picture cannot be written to {path}: {reason:reason}.",
    "clip-not-written": "The clip cannot be written to {path}: {reason:reason}.",
    "upload-stalled": "The disk of the upload path {path} does not respond: nothing moved for {timeout_s:s}.",
    "clip-name-taken": "{path} was written by another program, so the clip cannot be written there. Move the file away,"
    " or save again.",
    "clip-not-uploaded": "The clip cannot be written to the upload path {path}: {reason:reason}.",
    "source-failed": "The source failed: {reason:reason}.",
    "end-not-recorded": "The end of the source could not be recorded: {reason:reason}.",
    "not-started": "The store is not started. Use it with `async with`, or await its start().",
    "closed": "The store was closed before the request was done. Repeat the request when it is open again.",
    "output-failed": "Standard output cannot be written to: {reason:reason}.",
    "player-failed": "ffplay failed (exit code {exit_code}): {reason:reason}. To watch the clip elsewhere, write it to"
    " a file with `videostore export`.",
}

REQUEST = {
    "command-missing": "The field 'command' is missing, which makes this an invalid command. It must be one of"
    " {expected}.",
    "command-unknown": "'command' is {value:value}, which is an invalid command. It must be one of {expected}.",
    "field-missing": "The field {field:field} is missing. It must be {expected}.",
    "field-wrong": "{field:field} is {value:value}. It must be {expected}.",
    "tag-wrong": "tags[{index}] is {value:value}: the tag at index {index} is {fault}. It must be {expected}.",
    "tag-is-link": "{path} is a symbolic link, which would lead the clip out of the upload path. Remove it, or use"
    " another tag.",
    "field-too-long": "{field:field} has {size_bytes} bytes. It can have {limit_bytes}.",
    "request-too-large": "The request has {size_bytes} bytes. It can have {limit_bytes}.",
    "request-unreadable": "The request cannot be decoded: it is cut off or damaged, has text that is not UTF-8, or is"
    " nested too deeply. Send it as the API defines it.",
    "answer-not-taken": "The client has taken nothing of the answer for {within_s:s}. Ask again, and read it to its"
    " end.",
    "too-many-requests": "{limit} requests wait already. Ask again later.",
    "too-many-videos": "{limit} videos of this recorder are being sent already. Ask again when one of them has ended.",
    "video-range-empty": "'start_timestamp' ({from_us:time}) must be before 'end_timestamp' ({to_us:time}).",
    "video-in-future": "'start_timestamp' is in the future: {from_us:time}. This machine's clock says {clock_us:time}."
    " Choose an earlier time.",
    "too-many-events": "{limit} events are kept already. Release some with 'unmark'.",
    "mark-before-recording": "{field:field} is {at_us:time}, but the oldest video is from {first_us:time}. An event is"
    " forgotten with its footage, so this one would be forgotten at once. Check the time and its unit.",
    "event-unknown": "{field:field} is {value:value}, but there is no event with this number. 'get-events' lists them.",
    "read-only-mark": "A store that only reads cannot mark a moment. Ask the recorder of the directory.",
    "mark-while-recording": "{path} is being recorded to, and its recorder does not answer here: it is of an earlier"
    " version, of another user, or in a container. Mark it on its page, or through Viam with --machine.",
    "mark-needs-machine": "{field:field} is for a recorder that runs, and nothing is recorded here. Start the recorder,"
    " or use --machine.",
    "mark-without-save": "{field:field} is for the clip that --save makes. Add --save, or leave it out.",
    "moment-in-future": "{field:field} is in the future: {at_us:time}. This machine's clock says {clock_us:time}."
    " Choose an earlier time.",
    "picture-needs-too-much": "This picture needs too many frames before it: its keyframes are very far apart. Ask for"
    " the nearest keyframe, or for a clip.",
    "too-many-saves": "{limit} saves are pending already. Save again when some of them are written.",
    "tags-too-long": "The tags are too long together: with the upload path, a path can have {limit} bytes. Use fewer"
    " or shorter tags.",
    "range-empty": "'from' ({from_us:time}) must be before 'to' ({to_us:time}): the range is empty. Either the"
    " 'from' timestamp is after 'to' timestamp, or the two are the same.",
    "to-in-future": "'to' timestamp is in the future: {to_us:time}. This machine's clock says {clock_us:time}. Choose"
    " an earlier time.",
    "from-in-future": "'from' timestamp is in the future: {from_us:time}. This machine's clock says {clock_us:time}."
    " Choose an earlier time.",
    "clip-empty": "The clip is empty: the recording of this range cannot be read.",
    "path-unlistable": "The path {path:value} contains a line break, which ffmpeg's lists cannot hold.",
    "no-output-directory": "There is no directory {directory} for the file {name}. Create it first.",
    "output-ending": "The file {path} would be {written}, which is not what its name says. Choose a name that ends in"
    " {expected}.",
    "output-in-storage": "The file {path} is inside the storage directory {directory}. Choose a path outside it.",
    "output-not-a-file": "{path} is {found}, and only regular files are overwritten. Choose another path.",
    "output-exists": "The file {path} exists. Choose another name, or allow overwriting it (--overwrite, or"
    " overwrite=True).",
    "not-recording": "Nothing is being recorded, so there is no end to wait for.",
    "clip-unreadable": "The clip {path} cannot be read: {reason:reason}.",
    "clip-untimed": "The clip {path} does not tell when it was captured: those of videostore 0.1.0 and of other"
    " programs do not.",
    "clip-is-segment": "{path} is a segment of a recording, captured from {captured:range}, not a clip. To get a"
    " clip, which tells its times, export that range from its directory.",
    "clip-untimed-but-dated": "The clip {path} does not tell when its frames were captured. Its header dates it to"
    " {created_us:time}: if videostore 0.1.0 made it, its first frame was captured within that second.",
    "clip-tags-changed": "The clip {path} was changed after it was made: the times in its tags contradict each other,"
    " so none of them is certain.",
    "clip-changed": "The clip {path} was cut or changed after it was made, so its positions have no certain time: it"
    " lasts {length_s:s}, and its tags describe {made_s:s}. By them, the first frame was captured at {first_us:time}.",
    "position-negative": "{field:field} is {value:s}. It must not be before the start of the clip.",
    "position-beyond-clip": "{field:field} is {value:s}, but the clip lasts {length_s:s}.",
    "position-unlisted": "{field:field} is {value:s}, but the clip has too many gaps to list, and tells its times only"
    " up to {length_s:s}.",
    "import-unreadable": "The file {path} cannot be imported: {reason:reason}.",
    "import-undated": "The file {path} does not tell when it was captured. Say when its first frame was, with --start"
    " TIME or start=.",
    "import-doubtful": "When the file {path} was captured is doubtful: {reason:reason}. Say when its first frame was,"
    " with --start TIME or start=.",
    "import-clip-gaps": "The clip {path} leaves out gaps ({count}), so that the time of its first frame does not date"
    " all others. Export what lies between the gaps, each into a file of its own.",
    "import-in-future": "The file {path} would be stored from {captured:range}, which is in the future. Say when its"
    " first frame was captured, with --start TIME or start=.",
    "import-before-1970": "The file {path} would be stored from {captured:range}, which begins before 1970. Say when"
    " its first frame was captured, with --start TIME or start=.",
    "import-start-in-future": "{field:field} is {start_us:time}, so {path} would be stored from {captured:range}, which"
    " is in the future. This machine's clock says {clock_us:time}. Choose an earlier start.",
    "import-start-before-1970": "{field:field} is {start_us:time}, so {path} would be stored from {captured:range},"
    " which begins before 1970. Choose a later start.",
    "import-elsewhere": "The file {path} was imported before, from {stored_us:time} on. It is not stored a second time,"
    " from {start_us:time} on. If that start is the right one, import it into another directory.",
    "import-into-recording": "{path} is the directory of a recorder, whose quota may delete at once what is imported."
    " Import into a directory of its own, or name the quota with --size-gb or size_gb=.",
    "read-only-save": "A read-only store cannot schedule saves. Use wait=True.",
    "input-unusable": "The input {input:value} cannot be opened. Name a file, a device or a URL.",
    "input-like-option": "The input {input:value} looks like an option, and there is no such file. Name a file, a"
    " device or a URL, and give options separately.",
    "input-pipe": "The input {input:value} is a pipe, and cannot be opened twice. Name a file, a device or a URL.",
    "input-option": "{value:value} is not an option of an input. Use ffmpeg's name, without a dash.",
    "input-option-value": "The option {field} of the input is {value:value}. It must be {expected}.",
    "input-unhidden": "The URL {input} cannot be hidden from the list of processes: it is none of a stream. Name it as"
    " INPUT or input=.",
    "input-url-file": "--url-file {path:value} cannot be used: {reason:reason}. The user that runs this must be able to"
    " read it, and its first line must be the URL of the input.",
    "input-twice": "Name either INPUT or --url-file FILE.",
    "input-late": "The input {input} cannot be recorded: {reason:reason}.",
    "input-encoder": "The input {input} cannot be recorded with the encoder {encoder}: {reason:reason}. Choose another"
    " codec.",
    "input-unrecordable": "The input {input} cannot be recorded: {reason:reason}.",
}

COMMAND_LINE = {
    "from-after-to": "{field:field} ({from_us:time}) must be before {other:field} ({to_us:time}): the range is empty.",
    "option-wrong": "{field} is {value:value}. It must be {expected}.",
    "import-several": "--start is the time of one file, but {count} are named. Import them one after the other.",
    "several-storages": "There are several storage directories: {found}. Name one with --storage DIR or in {variable}.",
    "no-storage-found": "No storage directory was found in {here} or in {home}. Name one with --storage DIR, or in"
    " {variable}: the directory that is the storage_path of the machine config.",
    "not-a-directory": "{path} is not a directory. Name the directory that holds the recording.",
    "no-recording-but-inside": "{path} holds no recording, but these do: {found}. Name one with --storage.",
    "command-line-storage-unreadable": "The storage directory {path} cannot be read: {reason:reason}.",
    "command-line-storage-forbidden": "The storage directory {path} cannot be read: {reason:reason}. Run the command as"
    " that user, with `sudo`, or work on a copy.",
    "command-line-storage-missing": "There is no storage directory {path}. Check the path, and whether its disk is"
    " mounted.",
    "no-such-command": "There is no command {value:value}. To see what a directory holds, use `videostore state"
    " --storage DIR`; to record a file, `videostore record FILE --storage DIR --size-gb GB`; to run the Viam module,"
    " `videostore serve SOCKET`.",
    "command-line-tag-wrong": "--tag {value:value} is {fault}. It must be {expected}.",
    "command-line-event-unknown": "There is no event {value:value}. `videostore events` lists them.",
    "fmp4-from-machine": "--fmp4 is not available with --machine. Leave it out.",
    "pipe-from-machine": "-o - is not available with --machine. Name a file.",
    "picture-to-terminal": "A picture cannot be shown in a terminal. Write it to a file, or pipe it to a program.",
    "clip-to-terminal": "A clip cannot be shown in a terminal. Write it to a file, or pipe it to a program.",
    "component-without-machine": "--component names a recorder of a machine. Add --machine ADDRESS, or leave it out.",
    "machine-and-storage": "Use either --machine or --storage, not both.",
    "no-screen": "There is no screen to play on: neither DISPLAY nor WAYLAND_DISPLAY is set. To watch the clip"
    " elsewhere, write it to a file with `videostore export`.",
    "player-not-runnable": "{variable} is {value:path}, which is not a program that can be run. Set it to an ffplay,"
    " or unset it.",
    "player-missing": "No ffplay was found. Install it (Debian and Ubuntu: the package ffmpeg), set {variable} to one,"
    " or write the clip to a file with `videostore export`.",
}

REMOTE_REQUEST = {
    "recorder-unknown": "The machine at {address} has no recorder {component:value}: {found}.",
    "several-recorders": "The machine at {address} has several recorders. Choose one: {found}.",
    "address-wrong": "The machine's address is {value:value}. It must be a name, optionally with a port.",
    "key-incomplete": "An API key and its id are used together, but one is missing. Give both.",
    "key-id-wrong": "The id of the API key is not a UUID. It is listed next to the key; the two may be swapped.",
}

WEB_REQUEST = {
    "no-such-recorder": "There is no recorder {value:value} here.",
    "no-such-page": "There is nothing at this address.",
    "answer-too-late": "The answer took longer than {limit:s}. The disk may be slow. Try again.",
    "recorder-opening": "The recording of {value:value} is still being opened. Try again in a few seconds.",
    "recorder-not-readable": "The recording of {value:value} cannot be read: {reason:reason}.",
    "segment-gone": "This part of the recording is gone: the quota or a person deleted it.",
    "playlist-too-long": "The range from {from_us:time} to {to_us:time} has more than {limit} segments, too many for"
    " one playlist. Ask for parts of it.",
    "no-upload-path": "{value:value} has no upload path, so no clip can be saved there. Download the clip instead.",
    "page-missing": "The page is not part of this installation. The recordings are at hls/RECORDER/index.m3u8.",
}

ACCESS = {
    "request-malformed": "The request is malformed: it needs one host and a path.",
    "method-unknown": "There is no method {value:value} here. Use one of {expected}.",
    "host-unknown": "The page is not served under the name {value:value}. To allow it, add it to the attribute"
    " web.hosts, or to --allow-host of the command line.",
    "origin-foreign": "The page of another site sent this request. Open the page of this server and ask there.",
    "content-not-json": "The request must bring a JSON object, with the content type application/json{reason:because}.",
    "body-too-large": "The request brings too much: at most {limit_bytes} bytes.",
    "body-too-slow": "The request was not complete within {within_s:s}.",
    "too-many-connections": "Too many clients are connected. Try again in a few seconds.",
    "request-failed": "The request failed unexpectedly. The log of the server has the reason.",
    "password-needed": "A password is needed.",
    "password-wrong": "The password is wrong.",
    "too-many-attempts": "Too many wrong passwords were sent. Try again in {wait_s:s}.",
}

ANY_REQUEST = {**REQUEST, **COMMAND_LINE, **REMOTE_REQUEST, **WEB_REQUEST, **ACCESS}
"""The sentences of `RequestError` itself."""

MACHINE = {
    "no-recorder": "No recorder answers on the machine at {address}: {found}.",
    "not-a-recorder": "{component} does not answer as a recorder does.",
    "not-a-recorder-but": "{component} does not answer as a recorder does: {reason:reason}.",
    "clip-invalid": "{component} on {address} returned an invalid clip: {reason:reason}.",
    "machine-timeout": "The machine at {address} did not answer within {timeout_s:s}.",
    "machine-silent": "The machine at {address} does not answer.",
    "connection-lost": "The connection to the machine at {address} was lost: {reason:reason}.",
    "machine-wants-key": "The machine at {address} requires an API key. Give one, with its id.",
    "machine-refuses-key": "The machine at {address} refuses the API key. Check that the key and its id belong to this"
    " machine.",
    "certificate-untrusted": "The certificate of the machine at {address} is not trusted.",
    "machine-unreachable": "No machine can be reached at {address}: {reason:reason}.",
    "no-connection": "Cannot connect to the machine at {address}: it is offline, or the address, the API key or its id"
    " is wrong.",
}

OTHER = "other"
"""The code of a sentence that another program made, such as an older module or a server on the way."""
