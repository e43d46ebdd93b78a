//! Which columns a name can mean at one place of a query.
//!
//! A scope is built while FROM is bound, from the leaves up: an ON clause sees its own two sides
//! only, everything else sees all. A column that USING or NATURAL merged is seen once without a
//! qualifier, as a value of the type that both sides come to, and still once per table with one, as
//! the table has it.

use phantom_base::sync::Arc;
use phantom_base::{Error, Result, sqlstate};

use crate::bound::{Expr, ExprKind};
use crate::catalog::Table;

/// One table of FROM, under the name that it has there.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Index into the range table.
    pub relation: u16,
    /// The alias, or the table's name.
    pub name: String,
    /// Whether an alias hides the table's name.
    pub aliased: bool,
    /// What it shows.
    pub table: Arc<Table>,
    /// Names of its columns here: the table's, or those of the alias.
    pub columns: Vec<String>,
}

impl Item {
    /// A reference to a column by its number.
    fn column(&self, attnum: u16) -> Expr {
        let column = self.table.column(attnum).expect("scopes hold columns of their tables");
        let kind = ExprKind::Column { relation: self.relation, attnum };
        Expr { kind, ty: column.ty, typmod: column.typmod }
    }
}

/// A column that is seen without a qualifier.
#[derive(Clone, Debug)]
pub(super) struct Visible {
    /// Its name.
    pub name: String,
    /// Its value: a column, or what a merged one becomes of it.
    pub value: Expr,
}

/// What names mean.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    /// The tables.
    pub items: Vec<Item>,
    /// The columns in the order of `*`.
    pub visible: Vec<Visible>,
}

impl Scope {
    /// The scope of one table.
    pub fn of(item: Item) -> Self {
        let visible = item
            .columns
            .iter()
            .zip(1..)
            .map(|(name, attnum)| Visible { name: name.clone(), value: item.column(attnum) })
            .collect();
        Self { items: vec![item], visible }
    }

    /// Both scopes side by side.
    ///
    /// # Errors
    /// `42712` if a table name stands in both.
    pub fn beside(mut self, other: Self) -> Result<Self> {
        for item in &other.items {
            if self.items.iter().any(|mine| mine.name == item.name) {
                let message = format!("table name \"{}\" specified more than once", item.name);
                return Err(Error::new(sqlstate::DUPLICATE_ALIAS, message));
            }
        }
        self.items.extend(other.items);
        self.visible.extend(other.visible);
        Ok(self)
    }

    /// The table of that name.
    pub fn item(&self, name: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.name == name)
    }

    /// The table at an index of the range table.
    pub fn item_of(&self, relation: u16) -> &Item {
        self.items
            .iter()
            .find(|item| item.relation == relation)
            .expect("every relation of FROM has an item")
    }

    /// The column that a bare name means: `None` if nothing has it.
    ///
    /// # Errors
    /// `42702` if several have it.
    pub fn bare(&self, name: &str) -> Result<Option<Expr>> {
        let mut found = self.visible.iter().filter(|visible| visible.name == name);
        let Some(first) = found.next() else { return Ok(None) };
        if found.next().is_some() {
            let message = format!("column reference \"{name}\" is ambiguous");
            return Err(Error::new(sqlstate::AMBIGUOUS_COLUMN, message));
        }
        Ok(Some(first.value.clone()))
    }

    /// The column of a table's name and its own: `None` if the table has none of that name.
    pub fn qualified(&self, item: &Item, name: &str) -> Option<Expr> {
        let at = item.columns.iter().position(|column| column == name)?;
        Some(self.column(item.relation, u16::try_from(at + 1).ok()?))
    }

    /// A reference to a column by its numbers.
    pub fn column(&self, relation: u16, attnum: u16) -> Expr {
        self.item_of(relation).column(attnum)
    }
}
