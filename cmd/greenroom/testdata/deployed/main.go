// The server that the scripts of testdata/script deploy by a shell script of their own, and what asks it. It answers with its
// page, its environment, and what it was told of both; a page of "sick" answers badly on its health path alone.
package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	mode := append(os.Args, "")[1]
	client := http.Client{Timeout: time.Second}
	switch mode {
	case "status": // the release that answers
		body, err := get(client, "http://"+os.Getenv("ADDR")+"/release")
		fmt.Println(body)
		end(err)
	case "smoke":
		body, err := get(client, os.Getenv("APP_URL")+"/")
		if err == nil && len(strings.Fields(body)) < 3 {
			err = fmt.Errorf("a page without words: %q", body)
		}
		end(err)
	default:
		serve()
	}
}

func get(c http.Client, url string) (string, error) {
	res, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body := make([]byte, 1000)
	n, _ := res.Body.Read(body)
	if res.StatusCode != 200 {
		return "", fmt.Errorf("it answered %d", res.StatusCode)
	}
	return string(body[:n]), nil
}

func serve() {
	page, err := os.ReadFile("page.txt")
	if err != nil {
		end(err)
	}
	text := strings.TrimSpace(string(page))
	http.HandleFunc("/release", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getenv("GREENROOM_RELEASE")) })
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if text == "sick" {
			http.Error(w, "not today", 500)
		}
	})
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, text, os.Getenv("GREENROOM_ENVIRONMENT"), os.Getenv("REPLICAS"), os.Getenv("GREENROOM_IMAGE_WEB"))
	})
	for { // the one before may not have let go of it yet
		if err := http.ListenAndServe(os.Getenv("ADDR"), nil); !strings.Contains(err.Error(), "in use") {
			end(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func end(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
