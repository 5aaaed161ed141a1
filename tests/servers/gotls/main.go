// TLS servers by Go's crypto/tls: one listener for each JSON object on standard input; the port of each is printed.
package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"os"
)

type spec struct {
	Host     string
	Cert     string
	Key      string
	Min, Max uint16
	Suites   []uint16
	Curves   []tls.CurveID
	Alpn     []string
	Require  bool
	NoTicket bool
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() && lines.Text() != "" {
		var s spec
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			panic(err)
		}
		pair, err := tls.LoadX509KeyPair(s.Cert, s.Key)
		if err != nil {
			panic(err)
		}
		config := &tls.Config{
			Certificates: []tls.Certificate{pair}, MinVersion: s.Min, MaxVersion: s.Max, CipherSuites: s.Suites,
			CurvePreferences: s.Curves, NextProtos: s.Alpn, SessionTicketsDisabled: s.NoTicket,
		}
		if s.Require {
			config.ClientAuth = tls.RequireAnyClientCert
		}
		listener, err := tls.Listen("tcp", s.Host+":0", config)
		if err != nil {
			panic(err)
		}
		fmt.Println(listener.Addr().(*net.TCPAddr).Port)
		go serve(listener)
	}
	lines.Scan() // until the test closes our input
}

func serve(listener net.Listener) {
	for {
		one, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer one.Close()
			if one.(*tls.Conn).Handshake() == nil {
				one.Read(make([]byte, 1))
			}
		}()
	}
}
