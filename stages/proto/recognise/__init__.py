"""What speaks there, by the first bytes that it says: recognisers, one small file a protocol.

verdict     what a recogniser says, and the shapes that most of them are made of
reply       greetings with a three-digit code, which more than one protocol has
registry    all of them in order, the most specific first, and what they say together
"""
