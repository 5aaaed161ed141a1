from __future__ import annotations

from stages.net.conversation import Conversation
from stages.proto.banner import Script


def test_a_new_conversation_has_said_nothing_and_knows_nothing() -> None:
    conversation = Conversation("127.0.0.1", 80, Script().begin("127.0.0.1"), "tag", 4.0, 100)
    assert (conversation.host, conversation.port, conversation.tag) == ("127.0.0.1", 80, "tag")
    assert conversation.phase == "connect"
    assert conversation.errno is None
    assert conversation.icmp is None
    assert conversation.left_host
    assert (conversation.failed, conversation.timed_out, conversation.truncated) == (False, False, False)
    assert conversation.body == b""
    assert conversation.dialogue.opening() == b""


def test_the_body_is_all_pieces_in_order() -> None:
    conversation = Conversation("127.0.0.1", 80, Script().begin("127.0.0.1"), None, 4.0, 100)
    conversation.data.append(b"one ")
    assert conversation.body is conversation.data[0]
    conversation.data.append(b"two")
    assert conversation.body == b"one two"
    assert "127.0.0.1" in repr(conversation)
