// etcd as a peer in benchmarks: a member of a cluster, and the clients that drive one.
//
//	etcd member FLAGS OF ETCD              runs etcd itself, as its own main does
//	etcd fill   -endpoints A -keys N       writes keys 1 to N
//	etcd load   -endpoints A -kind put ..  many connections, one request at a time on each
//	etcd tick   -endpoints A,B,C -every D  starts a write every D, until stdin is closed
//	etcd status -endpoints A,B,C           what each member says of itself
//	etcd move   -endpoints A,B,C           lets another member lead
//	etcd keys   -endpoints A -prefix P     the keys that begin so
//
// Clients print JSON, one object a line, and end with 1 and a message if something fails.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"go.uber.org/zap"
)

// patience is how long one request may take: longer than etcd's own limit for a lost leader (7 s).
const patience = 15 * time.Second

// options are the flags of all clients; each reads what it needs.
type options struct {
	endpoints   []string
	kind        string
	prefix      string
	connections int
	keys        int
	bytes       int
	duration    time.Duration
	every       time.Duration
}

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("a command is missing"))
	}
	command, arguments := os.Args[1], os.Args[2:]
	if command == "member" {
		etcdmain.Main(append([]string{"etcd"}, arguments...))
		return
	}
	clients := map[string]func(options) error{
		"fill": fill, "load": load, "tick": tick, "status": status, "move": move, "keys": keys,
	}
	run, isKnown := clients[command]
	if !isKnown {
		fail(fmt.Errorf("there is no command %q", command))
	}
	if err := run(parse(command, arguments)); err != nil {
		fail(err)
	}
}

func parse(command string, arguments []string) options {
	var o options
	flags := flag.NewFlagSet(command, flag.ExitOnError)
	endpoints := flags.String("endpoints", "", "addresses of members, with commas between")
	flags.StringVar(&o.kind, "kind", "put", "put, or get: a linearizable read")
	flags.StringVar(&o.prefix, "prefix", "", "what keys begin with")
	flags.IntVar(&o.connections, "connections", 1, "clients, each with a connection of its own")
	flags.IntVar(&o.keys, "keys", 1, "keys that there are")
	flags.IntVar(&o.bytes, "bytes", 256, "bytes of a value")
	flags.DurationVar(&o.duration, "duration", time.Second, "how long")
	flags.DurationVar(&o.every, "every", 10*time.Millisecond, "between the starts of two writes")
	_ = flags.Parse(arguments) // It ends the process itself.
	o.endpoints = strings.Split(*endpoints, ",")
	return o
}

// connect gives a client with one connection to each of its endpoints.
func connect(endpoints ...string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints: endpoints, DialTimeout: patience, Logger: zap.NewNop(),
	})
}

// member is what one says of itself, after a linearizable read through it alone.
type member struct {
	Endpoint string `json:"endpoint"`
	IsLeader bool   `json:"is_leader"`
	Revision int64  `json:"revision"`
	Keys     int64  `json:"keys"`
	Version  string `json:"version"`
	id       uint64
}

func ask(endpoint, prefix string) (member, error) {
	client, err := connect(endpoint)
	if err != nil {
		return member{}, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	counted, err := client.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return member{}, fmt.Errorf("%s: %w", endpoint, err)
	}
	said, err := client.Status(ctx, endpoint)
	if err != nil {
		return member{}, fmt.Errorf("%s: %w", endpoint, err)
	}
	id := said.Header.MemberId
	return member{endpoint, said.Leader == id, counted.Header.Revision, counted.Count, said.Version, id}, nil
}

func status(o options) error {
	for _, endpoint := range o.endpoints {
		said, err := ask(endpoint, o.prefix)
		if err != nil {
			return err
		}
		say(said)
	}
	return nil
}

func move(o options) error {
	var leader, other member
	for _, endpoint := range o.endpoints {
		said, err := ask(endpoint, o.prefix)
		if err != nil {
			return err
		}
		if said.IsLeader {
			leader = said
		} else {
			other = said
		}
	}
	client, err := connect(leader.Endpoint) // Only a leader can hand over.
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err = client.MoveLeader(ctx, other.id)
	return err
}

func keys(o options) error {
	client, err := connect(o.endpoints...)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	found, err := client.Get(ctx, o.prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return err
	}
	for _, pair := range found.Kvs {
		say(strings.TrimPrefix(string(pair.Key), o.prefix))
	}
	return nil
}

func say(what any) {
	if err := json.NewEncoder(os.Stdout).Encode(what); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "etcd:", err)
	os.Exit(1)
}
