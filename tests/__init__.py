"""The tests. They run on the asyncio reactor, as the server does."""

from xiaozhi._reactor import install

install()
