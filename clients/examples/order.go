// An order, and a client assertion, with nothing but Go's own library.
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

const order = `{"tokenID":"71321045679252212594626385532706912750332728571942532289631379312455583992999",
	"side":"BUY","price":"0.56","size":"21.04","tickSize":"0.01","negRisk":false}`

var client = http.Client{Timeout: 10 * time.Second}

// ask asks under one key, so that asking again brings the same answer and never a second signature.
func ask(path, body string) (string, error) {
	key := make([]byte, 16)
	if _, err := rand.Read(key); err != nil {
		return "", err
	}
	for tried := 1; ; tried++ {
		token, err := os.ReadFile(os.Getenv("CHANCERY_TOKEN_FILE"))
		if err != nil {
			return "", err
		}
		request, err := http.NewRequest("POST", os.Getenv("CHANCERY_URL")+path, bytes.NewBufferString(body))
		if err != nil {
			return "", err
		}
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Idempotency-Key", fmt.Sprintf("%x", key))
		wait := 200 * time.Millisecond
		answer, err := client.Do(request)
		if err == nil {
			text, unread := io.ReadAll(answer.Body)
			answer.Body.Close()
			if unread == nil && answer.StatusCode < 300 {
				return string(text), nil
			}
			var problem struct{ Title, Detail, Action string }
			if unread == nil && json.Unmarshal(text, &problem) == nil {
				err = fmt.Errorf("%s: %s. %s", problem.Title, problem.Detail, problem.Action)
				seconds, none := strconv.Atoi(answer.Header.Get("Retry-After"))
				if none != nil {
					return "", err // nothing that waiting mends
				}
				wait = time.Duration(seconds) * time.Second
			}
		}
		if err == nil {
			err = fmt.Errorf("status %d, and no problem", answer.StatusCode)
		}
		// Or the connection broke, and nobody knows what came of it.
		if tried == 5 {
			return "", err
		}
		time.Sleep(wait)
	}
}

func main() {
	for path, body := range map[string]string{
		"/v1/wallets/" + os.Getenv("WALLET") + "/orders":     order,
		"/v1/clients/" + os.Getenv("CLIENT") + "/assertions": "{}",
	} {
		answer, err := ask(path, body)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(answer)
	}
}
