//! CREATE TABLE and DROP TABLE: checked here, carried out by the catalog.

use pg_query::protobuf::node::Node;
use pg_query::protobuf::{self, ConstrType, DropBehavior, ObjectType, OnCommitAction};
use phantom_base::{Error, Result, sqlstate};

use super::names::{DATABASE, SYSTEM_COLUMNS};
use super::{Binder, inner, string_of, strings_of, words};
use crate::catalog::{Collation, Column};
use crate::statement::{Body, CreateTable, DropTable};

/// PostgreSQL's bound of a table.
const COLUMNS_MAX: usize = 1_600;
/// PostgreSQL's bound of an index.
const KEY_COLUMNS_MAX: usize = 32;
/// PostgreSQL's bound of a name, in bytes; longer ones are cut.
const NAME_BYTES_MAX: usize = 63;

impl Binder<'_> {
    pub(super) fn create_table(&mut self, create: &protobuf::CreateStmt) -> Result<Body> {
        let range = create.relation.as_ref().expect("CREATE TABLE names a table");
        refuse_absent_options(create, range)?;
        let schema = self.creation_schema(range)?;
        let mut table = CreateTable {
            schema,
            name: range.relname.clone(),
            columns: Vec::new(),
            primary_key: Vec::new(),
            primary_key_name: String::new(),
            if_not_exists: create.if_not_exists,
        };
        let mut keys: Vec<(Vec<String>, String, i32)> = Vec::new();
        for element in &create.table_elts {
            match inner(Some(element)) {
                Some(Node::ColumnDef(definition)) => {
                    let column = self.column_definition(definition, &table.name, &mut keys)?;
                    if table.columns.iter().any(|known| known.name == column.name) {
                        let message =
                            format!("column \"{}\" specified more than once", column.name);
                        return Err(Error::new(sqlstate::DUPLICATE_COLUMN, message));
                    }
                    table.columns.push(column);
                }
                Some(Node::Constraint(constraint)) => {
                    keys.push(self.table_constraint(constraint)?);
                }
                absent => return Err(Error::unsupported(words::of(absent))),
            }
        }
        if table.columns.len() > COLUMNS_MAX {
            let message = format!("tables can have at most {COLUMNS_MAX} columns");
            return Err(Error::new(sqlstate::TOO_MANY_COLUMNS, message));
        }
        self.primary_key(&mut table, keys)?;
        Ok(Body::CreateTable(table))
    }

    fn creation_schema(&self, range: &protobuf::RangeVar) -> Result<String> {
        if !range.catalogname.is_empty() && range.catalogname != DATABASE {
            let names = [&*range.catalogname, &range.schemaname, &range.relname];
            return Err(self.located(range.location, other_database(&names)));
        }
        let schema = match range.schemaname.as_str() {
            "" => self.context.settings.search_path().first.ok_or_else(|| {
                let message = "no schema has been selected to create in";
                self.error(sqlstate::INVALID_SCHEMA_NAME, range.location, message)
            })?,
            named => named,
        };
        match schema {
            "public" => Ok("public".to_owned()),
            "pg_catalog" | "information_schema" => {
                let message = format!("permission denied to create \"{schema}.{}\"", range.relname);
                Err(Error::new(sqlstate::INSUFFICIENT_PRIVILEGE, message)
                    .with_detail("System catalog modifications are currently disallowed."))
            }
            other => {
                let message = format!("schema \"{other}\" does not exist");
                Err(self.error(sqlstate::INVALID_SCHEMA_NAME, range.location, message))
            }
        }
    }

    fn column_definition(
        &mut self,
        definition: &protobuf::ColumnDef,
        table: &str,
        keys: &mut Vec<(Vec<String>, String, i32)>,
    ) -> Result<Column> {
        let name = definition.colname.clone();
        if SYSTEM_COLUMNS.contains(&name.as_str()) {
            let message = format!("column name \"{name}\" conflicts with a system column name");
            return Err(Error::new(sqlstate::DUPLICATE_COLUMN, message));
        }
        let ty = definition.type_name.as_ref().expect("a column has a type");
        let (ty, typmod) = self.type_name(ty)?;
        let mut collation = Collation::Default;
        if let Some(collate) = &definition.coll_clause {
            collation = self.collation_named(collate)?;
            if !ty.is_text() {
                let message = format!("collations are not supported by type {}", ty.sql_name());
                return Err(self.error(sqlstate::DATATYPE_MISMATCH, collate.location, message));
            }
        }
        let absent = match definition {
            _ if !definition.compression.is_empty() => "COMPRESSION",
            _ if !definition.storage_name.is_empty() => "STORAGE",
            _ if !definition.fdwoptions.is_empty() => "OPTIONS of a column",
            _ => "",
        };
        if !absent.is_empty() {
            return Err(self.unsupported(definition.location, absent));
        }
        let mut not_null = definition.is_not_null;
        for constraint in &definition.constraints {
            let Some(Node::Constraint(constraint)) = inner(Some(constraint)) else { continue };
            match constraint.contype() {
                ConstrType::ConstrNotnull if constraint.is_no_inherit => {
                    return Err(self.unsupported(constraint.location, "NO INHERIT"));
                }
                ConstrType::ConstrNotnull => not_null = true,
                ConstrType::ConstrNull => {
                    if not_null {
                        let message = format!(
                            "conflicting NULL/NOT NULL declarations for column \"{name}\" of table \"{table}\""
                        );
                        return Err(self.error(
                            sqlstate::SYNTAX_ERROR,
                            constraint.location,
                            message,
                        ));
                    }
                }
                ConstrType::ConstrPrimary => {
                    refuse_key_options(constraint)?;
                    keys.push((
                        vec![name.clone()],
                        constraint.conname.clone(),
                        constraint.location,
                    ));
                }
                other => {
                    return Err(self.unsupported(constraint.location, words::constraint(other)));
                }
            }
        }
        Ok(Column { name, ty, typmod, not_null, collation })
    }

    fn table_constraint(
        &self,
        constraint: &protobuf::Constraint,
    ) -> Result<(Vec<String>, String, i32)> {
        if constraint.contype() != ConstrType::ConstrPrimary {
            return Err(
                self.unsupported(constraint.location, words::constraint(constraint.contype()))
            );
        }
        if !constraint.indexname.is_empty() {
            let message = "cannot use an existing index in CREATE TABLE";
            return Err(self.error(sqlstate::FEATURE_NOT_SUPPORTED, constraint.location, message));
        }
        refuse_key_options(constraint)?;
        let names = constraint.keys.iter().filter_map(string_of).map(str::to_owned).collect();
        Ok((names, constraint.conname.clone(), constraint.location))
    }

    fn primary_key(
        &self,
        table: &mut CreateTable,
        keys: Vec<(Vec<String>, String, i32)>,
    ) -> Result<()> {
        let mut keys = keys.into_iter();
        let Some((names, constraint, location)) = keys.next() else { return Ok(()) };
        if let Some((_, _, location)) = keys.next() {
            let message =
                format!("multiple primary keys for table \"{}\" are not allowed", table.name);
            return Err(self.error(sqlstate::INVALID_TABLE_DEFINITION, location, message));
        }
        if names.len() > KEY_COLUMNS_MAX {
            let message = format!("cannot use more than {KEY_COLUMNS_MAX} columns in an index");
            return Err(Error::new(sqlstate::TOO_MANY_COLUMNS, message));
        }
        for name in &names {
            let at =
                table.columns.iter().position(|column| column.name == *name).ok_or_else(|| {
                    let message = format!("column \"{name}\" named in key does not exist");
                    self.error(sqlstate::UNDEFINED_COLUMN, location, message)
                })?;
            let attnum = u16::try_from(at + 1).expect("COLUMNS_MAX fits");
            if table.primary_key.contains(&attnum) {
                let message = format!("column \"{name}\" appears twice in primary key constraint");
                return Err(self.error(sqlstate::DUPLICATE_COLUMN, location, message));
            }
            table.primary_key.push(attnum);
            table.columns.get_mut(at).expect("found above").not_null = true;
        }
        table.primary_key_name =
            if constraint.is_empty() { default_key_name(&table.name) } else { constraint };
        Ok(())
    }

    pub(super) fn drop_table(&self, drop: &protobuf::DropStmt) -> Result<Body> {
        if drop.remove_type() != ObjectType::ObjectTable {
            let kind = words::object(drop.remove_type());
            return Err(Error::unsupported(format!("DROP {kind}")));
        }
        // Nothing depends on a table yet, so CASCADE has nothing to add to RESTRICT.
        let _: DropBehavior = drop.behavior();
        let mut tables = Vec::with_capacity(drop.objects.len());
        for object in &drop.objects {
            let Some(Node::List(list)) = inner(Some(object)) else { continue };
            tables.push(match strings_of(&list.items).as_slice() {
                // Nothing is in the schema without a name: no table is found.
                [name] if !self.context.settings.search_path().sees_public => {
                    (String::new(), (*name).to_owned())
                }
                [name] => ("public".to_owned(), (*name).to_owned()),
                [schema, name] | [DATABASE, schema, name] => {
                    ((*schema).to_owned(), (*name).to_owned())
                }
                other if other.len() == 3 => return Err(other_database(other)),
                other => {
                    let names = other.join(".");
                    let what = format!("improper relation name (too many dotted names): {names}");
                    return Err(Error::new(sqlstate::SYNTAX_ERROR, what));
                }
            });
        }
        Ok(Body::DropTable(DropTable { tables, if_exists: drop.missing_ok }))
    }
}

fn other_database(names: &[&str]) -> Error {
    let shown = names.join(".");
    let message = format!("cross-database references are not implemented: \"{shown}\"");
    Error::new(sqlstate::FEATURE_NOT_SUPPORTED, message)
}

/// `table_pkey`, the table's part cut so that the whole is a name (PostgreSQL's `makeObjectName`).
fn default_key_name(table: &str) -> String {
    let mut end = table.len().min(NAME_BYTES_MAX - "_pkey".len());
    while !table.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}_pkey", table.get(..end).unwrap_or_default())
}

fn refuse_absent_options(create: &protobuf::CreateStmt, range: &protobuf::RangeVar) -> Result<()> {
    if !matches!(create.oncommit(), OnCommitAction::OncommitNoop | OnCommitAction::Undefined) {
        let message = "ON COMMIT can only be used on temporary tables";
        return Err(Error::new(sqlstate::INVALID_TABLE_DEFINITION, message));
    }
    let absent = match range.relpersistence.as_str() {
        "t" => "CREATE TEMPORARY TABLE",
        "u" => "CREATE UNLOGGED TABLE",
        _ if create.partbound.is_some() => "PARTITION OF",
        _ if create.partspec.is_some() => "PARTITION BY",
        _ if !create.inh_relations.is_empty() => "INHERITS",
        _ if create.of_typename.is_some() => "CREATE TABLE OF",
        _ if !create.options.is_empty() => "WITH options of a table",
        _ if !create.tablespacename.is_empty() => "TABLESPACE",
        _ if !create.access_method.is_empty() => "USING an access method",
        _ => return Ok(()),
    };
    Err(Error::unsupported(absent))
}

fn refuse_key_options(constraint: &protobuf::Constraint) -> Result<()> {
    if !constraint.indexspace.is_empty() || !constraint.access_method.is_empty() {
        return Err(Error::unsupported("USING INDEX TABLESPACE"));
    }
    if constraint.deferrable || constraint.initdeferred {
        return Err(Error::unsupported("a deferrable primary key"));
    }
    let absent = match constraint {
        _ if !constraint.including.is_empty() => "INCLUDE",
        _ if !constraint.options.is_empty() => "WITH",
        _ if constraint.without_overlaps => "WITHOUT OVERLAPS",
        _ => return Ok(()),
    };
    Err(Error::unsupported(format!("{absent} of a primary key")))
}
