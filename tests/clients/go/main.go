// A table is dropped and made anew with a column of another type, on one connection of pgx, which
// keeps its statements by itself. What it gets is printed.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func told(ctx context.Context, db *pgx.Conn) string {
	rows, err := db.Query(ctx, "SELECT v FROM becomes WHERE k = $1", 1)
	if err == nil {
		defer rows.Close()
		for rows.Next() {
			return string(rows.RawValues()[0])
		}
		err = rows.Err()
	}
	var said *pgconn.PgError
	if errors.As(err, &said) {
		return fmt.Sprintf("%s %s %s", said.Code, said.Message, said.Routine)
	}
	return fmt.Sprint(err)
}

func main() {
	ctx := context.Background()
	db, err := pgx.Connect(ctx, fmt.Sprintf("postgres://postgres@127.0.0.1:%s/postgres?sslmode=disable", os.Args[1]))
	check(err)
	for _, name := range []string{"int8", "text", "numeric", "int4"} {
		_, err = db.Exec(ctx, "CREATE TABLE becomes (k int PRIMARY KEY, v "+name+")")
		check(err)
		_, err = db.Exec(ctx, "INSERT INTO becomes VALUES (1, '7')")
		check(err)
		for range 8 {
			fmt.Printf("%s %q\n", name, told(ctx, db))
		}
		_, err = db.Exec(ctx, "DROP TABLE becomes")
		check(err)
	}
	check(db.Close(ctx))
}
