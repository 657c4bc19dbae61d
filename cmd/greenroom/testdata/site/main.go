// Site is the web service of the scripts: small enough to build in a second, and able to go wrong on demand. What it
// does is said by the file page.txt beside its program, so a new release is another page:
//
//	a text                 answered on every path but the health path
//	broken                 answers 500 there, while its health is green
//	dies in ENVIRONMENT    ends three seconds after its start, in that environment
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

func main() {
	b, err := os.ReadFile("page.txt")
	if err != nil {
		log.Fatal(err)
	}
	page := strings.TrimSpace(string(b))
	if page == "dies in "+os.Getenv("GREENROOM_ENVIRONMENT") {
		time.AfterFunc(3*time.Second, func() { log.Fatal("it dies") })
	}
	http.HandleFunc("GET /up", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		if page == "broken" {
			http.Error(w, "it is broken", http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, page, os.Getenv("GREETING"), len(os.Getenv("API_KEY")))
	})
	http.HandleFunc("GET /notes", notes)
	log.Println("serving", page)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}

// notes asks the database through the scripts' own program, since this one has the standard library alone.
func notes(w http.ResponseWriter, _ *http.Request) {
	out, err := exec.Command("sql", os.Getenv("DATABASE"), "select body from notes order by id").CombinedOutput()
	if err != nil {
		http.Error(w, string(out), http.StatusInternalServerError)
		return
	}
	w.Write(out)
}
