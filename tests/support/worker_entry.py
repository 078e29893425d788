"""A process that execnet starts for a worker: gives its standard streams to one that is forked (`worker_source.py`),
and ends with it. It imports little, and is no module: Python runs the file."""

import os
import socket
import sys

if __name__ == "__main__":
    with socket.socket(socket.AF_UNIX) as worker:
        worker.connect(bytes.fromhex(sys.argv[1]))
        socket.send_fds(worker, [b"\0"], (0, 1, 2))
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1):
            os.dup2(nothing, number)
        worker.recv(1)
