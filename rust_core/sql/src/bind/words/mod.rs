//! What things are called in refusals: words that a PostgreSQL user knows, for each kind of node that
//! the grammar makes.
//!
//! The table is complete: a kind without words does not compile. Statements whose name depends on
//! what is inside them (`DROP VIEW`, `GRANT` or `REVOKE`) are refined by `statement`.

mod object;

use pg_query::protobuf::node::Node;
use pg_query::protobuf::{
    GroupingSetKind, JoinType, JsonExprOp, LockClauseStrength, ObjectType, RoleStmtType,
    SetOperation, XmlExprOp,
};

pub(super) use object::{constraint, object};

/// Makes the match and, for the tests, the list of its words.
macro_rules! words {
    ($($($kind:ident)|+ => $words:literal,)+) => {
        /// What a kind of node is called.
        fn kind(node: &Node) -> &'static str {
            match node {
                $($(Node::$kind(_))|+ => $words,)+
            }
        }

        #[cfg(test)]
        const ALL: &[(&str, &str)] = &[$($((stringify!($kind), $words),)+)+];
    };
}

words! {
    // Statements.
    SelectStmt => "SELECT",
    InsertStmt => "INSERT",
    UpdateStmt => "UPDATE",
    DeleteStmt => "DELETE",
    MergeStmt => "MERGE",
    ReturnStmt => "RETURN",
    PlassignStmt => "an assignment of PL/pgSQL",
    RawStmt => "a statement inside a statement",
    ExplainStmt => "EXPLAIN",
    CopyStmt => "COPY",
    PrepareStmt => "PREPARE",
    ExecuteStmt => "EXECUTE",
    DeallocateStmt => "DEALLOCATE",
    DeclareCursorStmt => "DECLARE CURSOR",
    FetchStmt => "FETCH",
    ClosePortalStmt => "CLOSE",
    TransactionStmt => "a transaction block",
    ConstraintsSetStmt => "SET CONSTRAINTS",
    VariableSetStmt => "SET",
    VariableShowStmt => "SHOW",
    DiscardStmt => "DISCARD",
    LockStmt => "LOCK TABLE",
    ListenStmt => "LISTEN",
    UnlistenStmt => "UNLISTEN",
    NotifyStmt => "NOTIFY",
    DoStmt | InlineCodeBlock => "DO",
    CallStmt | CallContext => "CALL",
    LoadStmt => "LOAD",
    VacuumStmt | VacuumRelation => "VACUUM",
    ReindexStmt => "REINDEX",
    ClusterStmt => "CLUSTER",
    CheckPointStmt => "CHECKPOINT",
    TruncateStmt => "TRUNCATE",
    CommentStmt => "COMMENT",
    SecLabelStmt => "SECURITY LABEL",
    CreateStmt => "CREATE TABLE",
    CreateTableAsStmt => "CREATE TABLE AS",
    CreateForeignTableStmt => "CREATE FOREIGN TABLE",
    IndexStmt => "CREATE INDEX",
    ViewStmt => "CREATE VIEW",
    RefreshMatViewStmt => "REFRESH MATERIALIZED VIEW",
    CreateSchemaStmt => "CREATE SCHEMA",
    CreateSeqStmt => "CREATE SEQUENCE",
    CreatedbStmt => "CREATE DATABASE",
    CreateRoleStmt => "CREATE ROLE",
    CreateExtensionStmt => "CREATE EXTENSION",
    CreateFunctionStmt | FunctionParameter => "CREATE FUNCTION",
    CreateTrigStmt | TriggerTransition => "CREATE TRIGGER",
    CreateEventTrigStmt => "CREATE EVENT TRIGGER",
    CompositeTypeStmt | CreateEnumStmt | CreateRangeStmt => "CREATE TYPE",
    CreateDomainStmt => "CREATE DOMAIN",
    DefineStmt => "CREATE AGGREGATE, OPERATOR or TYPE",
    CreateCastStmt => "CREATE CAST",
    CreateConversionStmt => "CREATE CONVERSION",
    CreateTransformStmt => "CREATE TRANSFORM",
    CreatePlangStmt => "CREATE LANGUAGE",
    CreateAmStmt => "CREATE ACCESS METHOD",
    CreateOpClassStmt | CreateOpClassItem => "CREATE OPERATOR CLASS",
    CreateOpFamilyStmt => "CREATE OPERATOR FAMILY",
    CreateStatsStmt | StatsElem => "CREATE STATISTICS",
    CreatePolicyStmt => "CREATE POLICY",
    RuleStmt => "CREATE RULE",
    CreateTableSpaceStmt => "CREATE TABLESPACE",
    CreateFdwStmt => "CREATE FOREIGN DATA WRAPPER",
    CreateForeignServerStmt => "CREATE SERVER",
    CreateUserMappingStmt => "CREATE USER MAPPING",
    ImportForeignSchemaStmt => "IMPORT FOREIGN SCHEMA",
    CreatePublicationStmt | PublicationTable | PublicationObjSpec => "CREATE PUBLICATION",
    CreateSubscriptionStmt => "CREATE SUBSCRIPTION",
    AlterTableStmt | AlterTableCmd | AtalterConstraint => "ALTER TABLE",
    ReplicaIdentityStmt => "REPLICA IDENTITY",
    AlterTableMoveAllStmt => "ALTER TABLE ALL IN TABLESPACE",
    AlterCollationStmt => "ALTER COLLATION",
    AlterDomainStmt => "ALTER DOMAIN",
    AlterDefaultPrivilegesStmt => "ALTER DEFAULT PRIVILEGES",
    AlterTableSpaceOptionsStmt => "ALTER TABLESPACE",
    AlterExtensionStmt | AlterExtensionContentsStmt => "ALTER EXTENSION",
    AlterFdwStmt => "ALTER FOREIGN DATA WRAPPER",
    AlterForeignServerStmt => "ALTER SERVER",
    AlterUserMappingStmt => "ALTER USER MAPPING",
    AlterPolicyStmt => "ALTER POLICY",
    AlterEventTrigStmt => "ALTER EVENT TRIGGER",
    AlterRoleStmt | AlterRoleSetStmt => "ALTER ROLE",
    AlterSeqStmt => "ALTER SEQUENCE",
    AlterOpFamilyStmt => "ALTER OPERATOR FAMILY",
    AlterStatsStmt => "ALTER STATISTICS",
    AlterFunctionStmt => "ALTER FUNCTION",
    AlterOperatorStmt => "ALTER OPERATOR",
    AlterTypeStmt | AlterEnumStmt => "ALTER TYPE",
    AlterObjectDependsStmt => "ALTER .. DEPENDS ON EXTENSION",
    AlterObjectSchemaStmt => "ALTER .. SET SCHEMA",
    AlterOwnerStmt => "ALTER .. OWNER TO",
    RenameStmt => "ALTER .. RENAME",
    AlterDatabaseStmt | AlterDatabaseRefreshCollStmt | AlterDatabaseSetStmt => "ALTER DATABASE",
    AlterSystemStmt => "ALTER SYSTEM",
    AlterTsdictionaryStmt => "ALTER TEXT SEARCH DICTIONARY",
    AlterTsconfigurationStmt => "ALTER TEXT SEARCH CONFIGURATION",
    AlterPublicationStmt => "ALTER PUBLICATION",
    AlterSubscriptionStmt => "ALTER SUBSCRIPTION",
    DropStmt => "DROP",
    DropdbStmt => "DROP DATABASE",
    DropRoleStmt => "DROP ROLE",
    DropTableSpaceStmt => "DROP TABLESPACE",
    DropUserMappingStmt => "DROP USER MAPPING",
    DropSubscriptionStmt => "DROP SUBSCRIPTION",
    DropOwnedStmt => "DROP OWNED",
    ReassignOwnedStmt => "REASSIGN OWNED",
    GrantStmt | GrantRoleStmt | AccessPriv | ObjectWithArgs => "GRANT",

    // Tables and joins.
    RangeVar => "a table",
    JoinExpr => "a join",
    RangeSubselect => "a subquery in FROM",
    RangeFunction => "a function in FROM",
    RangeTableFunc | RangeTableFuncCol | TableFunc => "XMLTABLE",
    RangeTableSample | TableSampleClause => "TABLESAMPLE",
    JsonTable | JsonTableColumn | JsonTablePathSpec => "JSON_TABLE",

    // Clauses.
    IntoClause => "SELECT INTO",
    WithClause | CommonTableExpr => "WITH",
    CtesearchClause => "SEARCH in WITH",
    CtecycleClause => "CYCLE in WITH",
    SetOperationStmt => "UNION",
    SortBy => "ORDER BY",
    WindowDef | WindowClause | WindowFunc | WindowFuncRunCondition => "a window function",
    LockingClause => "FOR UPDATE",
    GroupingSet => "GROUPING SETS",
    OnConflictClause | OnConflictExpr | InferClause | InferenceElem => "ON CONFLICT",
    ReturningClause | ReturningOption | ReturningExpr => "RETURNING",
    MergeWhenClause | MergeAction => "WHEN in MERGE",
    MultiAssignRef => "SET of several columns at once",
    ResTarget => "a column with a value",
    ColumnDef => "a column",
    TableLikeClause => "LIKE in CREATE TABLE",
    Constraint => "a constraint",
    IndexElem => "a column of an index",
    DefElem => "an option",
    PartitionElem | PartitionSpec => "PARTITION BY",
    PartitionBoundSpec | PartitionRangeDatum => "PARTITION OF",
    PartitionCmd => "ATTACH PARTITION",
    RoleSpec => "a role",
    TypeName => "a type",
    Alias => "an alias",

    // Expressions.
    AConst | Integer | Float | Boolean | String => "a literal",
    BitString => "a bit string",
    ColumnRef => "a column reference",
    ParamRef | Param => "a parameter",
    AExpr | OpExpr => "an operator",
    BoolExpr => "AND, OR or NOT",
    TypeCast => "a cast",
    CollateClause | CollateExpr => "COLLATE",
    FuncCall | FuncExpr | Aggref => "a function call",
    NamedArgExpr => "an argument by its name",
    AStar => "\"*\" as a value",
    AIndices | SubscriptingRef => "a subscript",
    AIndirection => "a field or element of a value",
    AArrayExpr | ArrayExpr => "an array",
    RowExpr | RowCompareExpr => "a row value",
    SubLink => "a subquery in an expression",
    CaseExpr | CaseWhen | CaseTestExpr => "CASE",
    CoalesceExpr => "COALESCE",
    MinMaxExpr => "GREATEST or LEAST",
    NullIfExpr => "NULLIF",
    DistinctExpr => "IS DISTINCT FROM",
    NullTest => "IS NULL",
    BooleanTest => "IS TRUE",
    GroupingFunc => "GROUPING",
    SqlvalueFunction => "a function without brackets",
    SetToDefault => "DEFAULT",
    CurrentOfExpr => "WHERE CURRENT OF",
    MergeSupportFunc => "MERGE_ACTION",
    XmlExpr => "an XML expression",
    XmlSerialize => "XMLSERIALIZE",
    JsonFuncExpr | JsonExpr => "JSON_VALUE",
    JsonIsPredicate => "IS JSON",
    JsonParseExpr | JsonValueExpr | JsonFormat => "JSON",
    JsonScalarExpr => "JSON_SCALAR",
    JsonSerializeExpr | JsonOutput | JsonReturning => "JSON_SERIALIZE",
    JsonObjectConstructor | JsonConstructorExpr | JsonKeyValue => "JSON_OBJECT",
    JsonArrayConstructor | JsonArrayQueryConstructor => "JSON_ARRAY",
    JsonAggConstructor | JsonObjectAgg => "JSON_OBJECTAGG",
    JsonArrayAgg => "JSON_ARRAYAGG",
    JsonArgument => "PASSING in a JSON function",
    JsonBehavior => "ON ERROR in a JSON function",
    List | IntList | OidList => "a list",

    // PostgreSQL makes these after its parser; no text gives them.
    Var | ScalarArrayOpExpr | SubPlan | AlternativeSubPlan | FieldSelect | FieldStore | RelabelType
        | CoerceViaIo | ArrayCoerceExpr | ConvertRowtypeExpr | JsonTablePath | JsonTablePathScan
        | JsonTableSiblingJoin | CoerceToDomain | CoerceToDomainValue | NextValueExpr | TargetEntry
        | RangeTblRef | FromExpr | Query | RangeTblEntry | RtepermissionInfo | RangeTblFunction
        | WithCheckOption | SortGroupClause | RowMarkClause => "a node of an analysed query",
}

/// What a node is called, by its kind and what is inside it.
pub(super) fn of(node: Option<&Node>) -> &'static str {
    match node {
        None => "an empty clause",
        Some(Node::XmlExpr(expr)) => match expr.op() {
            XmlExprOp::IsXmlconcat => "XMLCONCAT",
            XmlExprOp::IsXmlelement => "XMLELEMENT",
            XmlExprOp::IsXmlforest => "XMLFOREST",
            XmlExprOp::IsXmlparse => "XMLPARSE",
            XmlExprOp::IsXmlpi => "XMLPI",
            XmlExprOp::IsXmlroot => "XMLROOT",
            XmlExprOp::IsXmlserialize => "XMLSERIALIZE",
            XmlExprOp::IsDocument => "IS DOCUMENT",
            XmlExprOp::Undefined => "an XML expression",
        },
        Some(Node::JsonFuncExpr(expr)) => match expr.op() {
            JsonExprOp::JsonExistsOp => "JSON_EXISTS",
            JsonExprOp::JsonQueryOp => "JSON_QUERY",
            JsonExprOp::JsonTableOp => "JSON_TABLE",
            JsonExprOp::JsonValueOp | JsonExprOp::Undefined => "JSON_VALUE",
        },
        Some(Node::GroupingSet(set)) => match set.kind() {
            GroupingSetKind::GroupingSetRollup => "ROLLUP",
            GroupingSetKind::GroupingSetCube => "CUBE",
            GroupingSetKind::GroupingSetEmpty => "GROUP BY ()",
            _ => "GROUPING SETS",
        },
        Some(Node::LockingClause(clause)) => match clause.strength() {
            LockClauseStrength::LcsForkeyshare => "FOR KEY SHARE",
            LockClauseStrength::LcsForshare => "FOR SHARE",
            LockClauseStrength::LcsFornokeyupdate => "FOR NO KEY UPDATE",
            _ => "FOR UPDATE",
        },
        Some(other) => kind(other),
    }
}

/// What a statement is called: PostgreSQL's command tag, or the words that begin it.
pub(super) fn statement(node: &Node) -> String {
    let of_object = |verb: &str, ty: ObjectType| format!("{verb} {}", object(ty));
    let named = match node {
        Node::DropStmt(stmt) => return of_object("DROP", stmt.remove_type()),
        Node::DefineStmt(stmt) => return of_object("CREATE", stmt.kind()),
        Node::AlterTableStmt(stmt) => return of_object("ALTER", stmt.objtype()),
        Node::AlterFunctionStmt(stmt) => return of_object("ALTER", stmt.objtype()),
        Node::CommentStmt(stmt) => return of_object("COMMENT ON", stmt.objtype()),
        Node::AlterOwnerStmt(stmt) => {
            return of_object("ALTER", stmt.object_type()) + " .. OWNER TO";
        }
        Node::AlterObjectSchemaStmt(stmt) => {
            return of_object("ALTER", stmt.object_type()) + " .. SET SCHEMA";
        }
        Node::AlterObjectDependsStmt(stmt) => {
            return of_object("ALTER", stmt.object_type()) + " .. DEPENDS ON EXTENSION";
        }
        Node::RenameStmt(stmt) => {
            // A column, a constraint or an attribute is renamed by ALTER of what it is part of.
            let ty = match (stmt.rename_type(), stmt.relation_type()) {
                (ObjectType::ObjectColumn | ObjectType::ObjectAttribute, whole) => whole,
                (ObjectType::ObjectTabconstraint, _) => ObjectType::ObjectTable,
                (ObjectType::ObjectDomconstraint, _) => ObjectType::ObjectDomain,
                (own, _) => own,
            };
            return of_object("ALTER", ty) + " .. RENAME";
        }
        Node::CreateTableAsStmt(stmt) if stmt.is_select_into => "SELECT INTO",
        Node::CreateTableAsStmt(stmt) if stmt.objtype() == ObjectType::ObjectMatview => {
            "CREATE MATERIALIZED VIEW"
        }
        Node::CreateFunctionStmt(stmt) if stmt.is_procedure => "CREATE PROCEDURE",
        Node::CreateTrigStmt(stmt) if stmt.isconstraint => "CREATE CONSTRAINT TRIGGER",
        Node::CreateRoleStmt(stmt) => match stmt.stmt_type() {
            RoleStmtType::RolestmtUser => "CREATE USER",
            RoleStmtType::RolestmtGroup => "CREATE GROUP",
            _ => "CREATE ROLE",
        },
        Node::GrantStmt(stmt) => grant_or_revoke(stmt.is_grant),
        Node::GrantRoleStmt(stmt) => grant_or_revoke(stmt.is_grant),
        Node::VacuumStmt(stmt) if !stmt.is_vacuumcmd => "ANALYZE",
        Node::FetchStmt(stmt) if stmt.ismove => "MOVE",
        other => kind(other),
    };
    named.to_owned()
}

fn grant_or_revoke(is_grant: bool) -> &'static str {
    if is_grant { "GRANT" } else { "REVOKE" }
}

/// What a kind of join is called.
pub(super) fn join(ty: JoinType) -> &'static str {
    match ty {
        JoinType::JoinInner | JoinType::Undefined => "JOIN",
        JoinType::JoinLeft => "LEFT JOIN",
        JoinType::JoinRight => "RIGHT JOIN",
        JoinType::JoinFull => "FULL JOIN",
        JoinType::JoinSemi | JoinType::JoinRightSemi => "SEMI JOIN",
        JoinType::JoinAnti | JoinType::JoinRightAnti => "ANTI JOIN",
        JoinType::JoinUniqueOuter | JoinType::JoinUniqueInner => "UNIQUE JOIN",
    }
}

/// What joins two queries, if anything does.
pub(super) fn set_operation(op: SetOperation) -> Option<&'static str> {
    match op {
        SetOperation::Undefined | SetOperation::SetopNone => None,
        SetOperation::SetopUnion => Some("UNION"),
        SetOperation::SetopIntersect => Some("INTERSECT"),
        SetOperation::SetopExcept => Some("EXCEPT"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_node_has_words_that_name_it() {
        for (kind, words) in ALL {
            assert!(!words.is_empty(), "{kind}");
            assert!(!words.starts_with("this"), "{kind}: {words}");
        }
        // Each kind stands once, which the compiler asks for, so these are all of them.
        assert_eq!(ALL.len(), 271);
    }

    #[test]
    fn every_kind_of_object_has_words_that_name_it() {
        for ty in (0..).map_while(|number| ObjectType::try_from(number).ok()) {
            assert!(!object(ty).is_empty() && !object(ty).starts_with("this"), "{ty:?}");
        }
        for ty in (0..).map_while(|number| pg_query::protobuf::ConstrType::try_from(number).ok()) {
            assert!(!constraint(ty).starts_with("this"), "{ty:?}");
        }
    }
}
