"""Packets of a camera's stream of which some came damaged, and are marked so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from videostore.media.damage_mark import DamageMark
from videostore.media.packet import Packet

LOST = "packets-lost"


def marked(packets: Sequence[Packet], first: int, last: int, reason: str = LOST) -> list[Packet]:
    """The packets, those from `first` to `last` as a source marks them; a keyframe begins another stretch."""
    done, since_us = list(packets), packets[first].captured_us
    for number in range(first, last + 1):
        one = packets[number]
        since_us = one.captured_us if one.keyframe else since_us
        done[number] = replace(one, damage=DamageMark(since_us, reason))
    return done


def cut_off_slice(packet: Packet) -> Packet:
    """The packet as if the beginning of its picture had not come: its first slice is gone, the rest is there."""
    begin = packet.data.rfind(b"\0\0\1")
    data = packet.data[:begin] + b"\0\0\1" + packet.data[begin + 3 : begin + 4] + packet.data[begin + 12 :]
    return replace(packet, data=data)
