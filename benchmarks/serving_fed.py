"""The bare loops of serving_load.py, fed by its clients: what moving the numbers through sockets costs by itself.

    python benchmarks/serving_fed.py MODEL.onnx REQUEST_BYTES SHAPE THREADS

Each thread has its share of the connections, takes whole requests of so many bytes from them (the numbers are their
end), runs the model and answers. Nothing is read, checked, queued or counted: it is no server, only a measure for one.
"""

import select
import socket
import sys
import threading
from pathlib import Path

import numpy as np

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))


def loop(session, listener: socket.socket, length: int, shape: tuple[int, ...]) -> None:
    """Accept and answer, for ever."""
    memory = np.empty(length + 64, np.uint8)
    numbers = int(np.prod(shape)) * 4
    start = -(memory.ctypes.data + length - numbers) % 64  # aligned where the numbers begin
    whole = memoryview(memory)[start : start + length]
    row = memory[start + length - numbers : start + length].view(np.float32).reshape(shape)
    name, epoll, clients = session.get_inputs()[0].name, select.epoll(), {}
    epoll.register(listener, select.EPOLLIN | select.EPOLLEXCLUSIVE)
    while True:
        for number, _ in epoll.poll():
            if number == listener.fileno():
                try:
                    client, _ = listener.accept()
                except BlockingIOError:
                    continue  # the other thread was quicker
                client.setblocking(True)
                clients[client.fileno()] = client
                epoll.register(client, select.EPOLLIN)
                continue
            client, got = clients[number], 0
            while got < length and (count := client.recv_into(whole[got:], length - got, socket.MSG_WAITALL)):
                got += count
            if got < length:
                epoll.unregister(client)
                clients.pop(number).close()
                continue
            answer = session.run(None, {name: row})[0].tobytes()
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)


def main() -> None:
    """Print the port, then serve until it is killed."""
    import onnxruntime

    from webapp.engines.onnx import session_options

    content, length = Path(sys.argv[1]).read_bytes(), int(sys.argv[2])
    shape = tuple(map(int, sys.argv[3].split("x")))
    session = onnxruntime.InferenceSession(content, session_options(onnxruntime))
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    listener.setblocking(False)
    print(listener.getsockname()[1], flush=True)
    for _ in range(int(sys.argv[4])):
        threading.Thread(target=loop, args=(session, listener, length, shape)).start()


if __name__ == "__main__":
    main()
