// A table is dropped and made anew with a column of another type, on one connection of node-postgres.
// What it gets is printed. A statement with a name keeps its first shape, here as with PostgreSQL.
const { Client } = require("pg");

async function main() {
  const client = new Client({
    host: "127.0.0.1",
    port: Number(process.argv[2]),
    user: "postgres",
    database: "postgres",
  });
  await client.connect();
  for (const type of ["int8", "text", "numeric", "int4"]) {
    await client.query(`CREATE TABLE becomes (k int PRIMARY KEY, v ${type})`);
    await client.query("INSERT INTO becomes VALUES (1, '7')");
    for (let at = 0; at < 8; at++) {
      for (const name of [undefined, "kept"]) {
        const text = "SELECT v FROM becomes WHERE k = $1";
        const told = await client.query({ name, text, values: [1] }).then(
          (result) => JSON.stringify(result.rows),
          (error) => `${error.code} ${error.message} ${error.routine}`,
        );
        console.log(type, name ?? "unnamed", told);
      }
    }
    await client.query("DROP TABLE becomes");
  }
  await client.end();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
