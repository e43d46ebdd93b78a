// The clients that are timed: a closed loop on many connections, and an open one that ticks.

package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// fillers is how many writes are under way while keys are filled.
const fillers = 64

func key(prefix string, number int) string { return fmt.Sprintf("%s%08d", prefix, number) }

// value gives bytes that nothing can compress.
func value(size int) string {
	bytes := make([]byte, size)
	_, _ = rand.Read(bytes) // It cannot fail.
	return string(bytes)
}

func fill(o options) error {
	client, err := connect(o.endpoints...)
	if err != nil {
		return err
	}
	defer client.Close()
	return inParallel(fillers, func(at int) error {
		for number := at + 1; number <= o.keys; number += fillers {
			if err := put(client, key(o.prefix, number), value(o.bytes)); err != nil {
				return err
			}
		}
		return nil
	})
}

func put(client *clientv3.Client, key, value string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := client.Put(ctx, key, value)
	return err
}

// get reads a key of which there must be one, with a value of that size. Reads are linearizable
// unless they are told not to be.
func get(client *clientv3.Client, key string, size int) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	found, err := client.Get(ctx, key)
	if err == nil && (len(found.Kvs) != 1 || len(found.Kvs[0].Value) != size) {
		err = fmt.Errorf("key %s: %d values, not one of %d bytes", key, len(found.Kvs), size)
	}
	return err
}

// load keeps one request under way on each connection and prints how many were answered.
func load(o options) error {
	clients := make([]*clientv3.Client, o.connections)
	// Connections are open and used once before the clock starts, as pgbench's are.
	err := inParallel(o.connections, func(at int) error {
		client, err := connect(o.endpoints...)
		if err != nil {
			return err
		}
		clients[at] = client
		return get(client, key(o.prefix, 1), o.bytes)
	})
	if err != nil {
		return err
	}
	start := time.Now()
	took := make([][]time.Duration, o.connections)
	err = inParallel(o.connections, func(at int) (err error) {
		took[at], err = requests(clients[at], o, start.Add(o.duration))
		return err
	})
	seconds := time.Since(start).Seconds()
	if err != nil {
		return err
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	say(map[string]any{
		"count": len(all), "seconds": seconds, "p50_us": float64(all[len(all)/2].Nanoseconds()) / 1e3,
	})
	return nil
}

// requests runs one after another until `end` and gives how long each took.
func requests(client *clientv3.Client, o options, end time.Time) ([]time.Duration, error) {
	var took []time.Duration
	body := value(o.bytes)
	for begun := time.Now(); begun.Before(end); begun = time.Now() {
		name := key(o.prefix, 1+mathrand.IntN(o.keys))
		var err error
		if o.kind == "get" {
			err = get(client, name, o.bytes)
		} else {
			err = put(client, name, body)
		}
		if err != nil {
			return nil, err
		}
		took = append(took, time.Since(begun))
	}
	return took, nil
}

// ack is a write that was acknowledged: its number, and the system's time in seconds.
type ack struct {
	Number int     `json:"number"`
	At     float64 `json:"at"`
}

// tick starts a new write whether or not the last one was answered, and prints each that was.
func tick(o options) error {
	client, err := connect(o.endpoints...)
	if err != nil {
		return err
	}
	defer client.Close()
	stop := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(stop)
	}()
	var printing sync.Mutex
	var writes sync.WaitGroup
	ticker := time.NewTicker(o.every)
	body := value(o.bytes)
	for number := 1; ; number++ {
		select {
		case <-stop:
			writes.Wait()
			return nil
		case <-ticker.C:
		}
		writes.Go(func() {
			// A failed write is one without an acknowledgement: leaders die here.
			if put(client, key(o.prefix, number), body) == nil {
				at := float64(time.Now().UnixMicro()) / 1e6
				printing.Lock()
				defer printing.Unlock()
				say(ack{number, at})
			}
		})
	}
}

// inParallel runs work 0 to count-1 at once and gives the first error.
func inParallel(count int, work func(at int) error) error {
	failed := make(chan error, count)
	for at := range count {
		go func() { failed <- work(at) }()
	}
	var first error
	for range count {
		if err := <-failed; err != nil && first == nil {
			first = err
		}
	}
	return first
}
