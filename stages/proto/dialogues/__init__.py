"""Dialogues by name, sans-IO: what is said to a server, and what is known of it in the end.

base          what they have in common: target, pace, `service` and `facts`
facts         the closed list of what may be known, and its bounds
http          GET, and the answer to its end            http_answer   where an answer ends
ssh           to the host key                           ssh_wire      packets, and the offer
esmtp         greeting and EHLO                         replies       answers of lines with a code
tls           the certificate client of `proto.tls`
identify      wait, say the port's likely first word, recognise, go on with the right one
first_words   the first words
registry      all of them by name
"""
