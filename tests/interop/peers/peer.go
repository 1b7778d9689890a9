// Go's net/http, both halves, without any module but the standard library:
//
//	peer client URL MODE COUNT WIDTH PAUSE_MS    as client.py
//	peer server IDLE_MS                          as server.mjs; IDLE_MS 0 keeps nothing
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const page = "the page that fetch must bring home\n"

func content() []byte {
	unit := make([]byte, 256)
	for i := range unit {
		unit[i] = byte(i)
	}
	return bytes.Repeat(append(unit, "\r\n0\r\n\r\n"...), 400)
}

type seen struct {
	sync.Mutex
	Answered int      `json:"answered"`
	Failures []string `json:"failures"`
}

func (s *seen) judge(status int, right bool, length int, err error) {
	s.Lock()
	defer s.Unlock()
	switch {
	case err != nil:
		s.Failures = append(s.Failures, err.Error())
	case status != 200 || !right:
		s.Failures = append(s.Failures, fmt.Sprintf("status %d, %d octets", status, length))
	default:
		s.Answered++
	}
}

// Hides the length from net/http, which then sends the content chunked.
type unsized struct{ io.Reader }

func exchange(client *http.Client, s *seen, url, mode string) {
	method, path := "GET", "/bytes/1000"
	var up io.Reader
	switch mode {
	case "upload":
		method, path, up = "POST", "/echo", bytes.NewReader(content())
	case "stream":
		method, path, up = "POST", "/echo", unsized{bytes.NewReader(content())}
	case "head":
		method = "HEAD"
	}
	request, err := http.NewRequest(method, url+path, up)
	if err != nil {
		s.judge(0, false, 0, err)
		return
	}
	if mode == "upload" {
		request.Header.Set("Expect", "100-continue")
	}
	response, err := client.Do(request)
	if err != nil {
		s.judge(0, false, 0, err)
		return
	}
	received, err := io.ReadAll(response.Body)
	response.Body.Close()
	right := false
	switch method {
	case "POST":
		right = bytes.Equal(received, content())
	case "HEAD":
		right = len(received) == 0 && response.ContentLength == 1000
	default:
		right = bytes.Equal(received, bytes.Repeat([]byte("k"), 1000))
	}
	s.judge(response.StatusCode, right, len(received), err)
}

func client(url, mode string, count, width, pause int) {
	transport := &http.Transport{
		MaxConnsPerHost:       width,
		MaxIdleConnsPerHost:   width,
		ExpectContinueTimeout: 5 * time.Second,
	}
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	s := &seen{Failures: []string{}}
	if mode == "parallel" {
		var group sync.WaitGroup
		work := make(chan struct{}, count)
		for i := 0; i < count; i++ {
			work <- struct{}{}
		}
		close(work)
		for i := 0; i < width; i++ {
			group.Add(1)
			go func() {
				defer group.Done()
				for range work {
					exchange(client, s, url, mode)
				}
			}()
		}
		group.Wait()
	} else {
		for i := 0; i < count; i++ {
			if i > 0 {
				time.Sleep(time.Duration(pause) * time.Millisecond)
			}
			exchange(client, s, url, mode)
		}
	}
	transport.CloseIdleConnections()
	json.NewEncoder(os.Stdout).Encode(s)
}

func server(idle int) {
	var lock sync.Mutex
	handler := func(out http.ResponseWriter, in *http.Request) {
		switch {
		case in.Method == "POST":
			received, _ := io.ReadAll(in.Body)
			out.Write(received)
		case in.URL.Path == "/chunked":
			io.WriteString(out, page)
			out.(http.Flusher).Flush()
			io.WriteString(out, strings.Repeat(page, 3999))
		case in.URL.Path == "/long":
			out.Header().Set("Content-Length", strconv.Itoa(4000*len(page)))
			io.WriteString(out, strings.Repeat(page, 4000))
		default:
			io.WriteString(out, page)
		}
		_, port, _ := net.SplitHostPort(in.RemoteAddr)
		lock.Lock()
		defer lock.Unlock()
		fmt.Printf("%s 200 %s %s\n", port, in.Method, in.URL.Path)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	s := &http.Server{
		Handler:     http.HandlerFunc(handler),
		IdleTimeout: time.Duration(idle) * time.Millisecond,
	}
	s.SetKeepAlivesEnabled(idle > 0)
	fmt.Printf("listening on %s\n", listener.Addr())
	panic(s.Serve(listener))
}

func number(at int) int {
	n, err := strconv.Atoi(os.Args[at])
	if err != nil {
		panic(err)
	}
	return n
}

func main() {
	if os.Args[1] == "client" {
		client(os.Args[2], os.Args[3], number(4), number(5), number(6))
	} else {
		server(number(2))
	}
}
