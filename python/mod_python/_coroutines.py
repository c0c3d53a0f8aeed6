"""Coroutines and asynchronous generators run to their end, each in an event loop of its own."""

from types import AsyncGeneratorType, CoroutineType

# Seconds.  RequestTimeout reaches a loop when it wakes up, whatever the coroutine waits for.
_BEAT = 0.25


def _beat(loop):
    loop.call_later(_BEAT, _beat, loop)


async def _with_beat(coroutine):
    import asyncio

    _beat(asyncio.get_running_loop())
    return await coroutine


def completed(result):
    """The result of a coroutine; anything else as it is."""
    if isinstance(result, CoroutineType):
        import asyncio

        return asyncio.run(_with_beat(result))
    return result


def items_of(generator):
    """An iterator over the items of an asynchronous generator; to be closed after use."""
    assert isinstance(generator, AsyncGeneratorType)
    import asyncio

    loop = asyncio.new_event_loop()
    _beat(loop)
    step = None
    try:
        while True:
            step = loop.create_task(_next_of(generator))
            try:
                item = loop.run_until_complete(step)
            except StopAsyncIteration:
                return
            yield item
    finally:
        try:
            if step is not None and not step.done():
                # Something ended the loop, but not what runs in it.
                step.cancel()
                loop.run_until_complete(asyncio.wait([step]))
            loop.run_until_complete(generator.aclose())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()


async def _next_of(generator):
    return await generator.__anext__()
