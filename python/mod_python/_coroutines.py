"""Coroutines and asynchronous generators run to their end, each in an event loop of its own."""

from types import AsyncGeneratorType, CoroutineType


def completed(result):
    """The result of a coroutine; anything else as it is."""
    if isinstance(result, CoroutineType):
        import asyncio

        return asyncio.run(result)
    return result


def items_of(generator):
    """An iterator over the items of an asynchronous generator; to be closed after use."""
    assert isinstance(generator, AsyncGeneratorType)
    import asyncio

    loop = asyncio.new_event_loop()
    try:
        while True:
            try:
                item = loop.run_until_complete(generator.__anext__())
            except StopAsyncIteration:
                return
            yield item
    finally:
        try:
            loop.run_until_complete(generator.aclose())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()
