"""A slow link in front of a server: every byte of every connection, a worker's too, shares one rate and arrives late.

Chromium's own emulation does not reach what workers fetch; here nothing gets past.
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PIECE = 8192


class Link:
    """20 Mbit/s and 40 ms there and back unless told otherwise; only what comes down is limited in rate."""

    def __init__(self, port: int, bits_per_s: float = 20e6, round_trip_s: float = 0.04) -> None:
        self.port, self.bytes_per_s, self.late_s = port, bits_per_s / 8, round_trip_s / 2
        self.free_at = 0.0
        self.turn = asyncio.Lock()
        self.bytes = 0

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: both directions until either side ends."""
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.port)
            await asyncio.gather(self.pump(reader, there_writer, False), self.pump(there_reader, writer, True))
        except ConnectionError:
            writer.close()

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, down: bool) -> None:
        """Reads piece by piece, so that connections share the rate, and delivers each a while later."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)
        delivery = asyncio.ensure_future(self.deliver(queue, writer))
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(PIECE):
                if down:
                    await self.take(len(piece), loop)
                await queue.put((loop.time() + self.late_s, piece))
        await queue.put((loop.time() + self.late_s, b""))
        await delivery

    async def take(self, count: int, loop: asyncio.AbstractEventLoop) -> None:
        """Waits until the link has carried so many bytes more, in the order of asking."""
        async with self.turn:
            self.bytes += count
            self.free_at = max(self.free_at, loop.time() - 0.002) + count / self.bytes_per_s
            wait_s = self.free_at - loop.time()
            if wait_s > 0.001:
                await asyncio.sleep(wait_s)

    async def deliver(self, queue: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter) -> None:
        """Writes each piece when its time has come; an empty one ends the connection."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            while True:
                at, piece = await queue.get()
                await asyncio.sleep(max(0.0, at - loop.time()))
                if not piece:
                    break
                writer.write(piece)
                await writer.drain()
        writer.close()
        while not queue.empty():
            queue.get_nowait()


@contextmanager
def slow_link(port: int) -> Iterator[str]:
    """The address that leads to 127.0.0.1:port over such a link."""
    loop, ready, addresses = asyncio.new_event_loop(), threading.Event(), []

    async def listen() -> None:
        server = await asyncio.start_server(Link(port).accept, "127.0.0.1", 0)
        addresses.append(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        ready.set()

    def work() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(listen())
        loop.run_forever()

    thread = threading.Thread(target=work, name="slow link", daemon=True)
    thread.start()
    ready.wait()
    try:
        yield addresses[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=5)
