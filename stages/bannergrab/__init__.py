"""bannergrab: one conversation per hit, banners out.

settings    options (-c -p -t -r -f -d of banner-grab, and ours)
endings     a conversation that has ended -> outcome and Banner record (pure)
formats     a Banner -> a line of a pipe: hex, ascii, base64, json (pure)
udp         the engine for datagrams (asyncio-dgram)
stage       what the runner runs: hits in, dialogues, banners out
app         a whole bannergrab: stage, politeness, runner
"""
