OPTIONS sip:${DADDR} SIP/2.0
Via: SIP/2.0/UDP ${SADDR}:${SPORT};branch=z9hG4bK${RAND_ALPHANUM=16};rport
From: <sip:ping@${SADDR}:${SPORT}>;tag=${RAND_DIGIT=8}
To: <sip:${DADDR}:${DPORT}>
Call-ID: ${RAND_ALPHANUM=16}@${SADDR}
CSeq: 1 OPTIONS
Contact: <sip:ping@${SADDR}:${SPORT}>
Max-Forwards: 70
Accept: application/sdp
Content-Length: 0

