//! Words for kinds of objects, as they stand behind CREATE, ALTER, DROP and COMMENT ON, and for
//! constraints.

use pg_query::protobuf::{ConstrType, ObjectType};

/// What a kind of object is called.
pub(in crate::bind) fn object(ty: ObjectType) -> &'static str {
    use ObjectType as O;
    match ty {
        O::Undefined => "an object",
        O::ObjectAccessMethod => "ACCESS METHOD",
        O::ObjectAggregate => "AGGREGATE",
        O::ObjectAmop | O::ObjectOpfamily | O::ObjectAmproc => "OPERATOR FAMILY",
        O::ObjectAttribute | O::ObjectType => "TYPE",
        O::ObjectCast => "CAST",
        O::ObjectColumn => "COLUMN",
        O::ObjectCollation => "COLLATION",
        O::ObjectConversion => "CONVERSION",
        O::ObjectDatabase => "DATABASE",
        O::ObjectDefault => "DEFAULT",
        O::ObjectDefacl => "DEFAULT PRIVILEGES",
        O::ObjectDomain => "DOMAIN",
        O::ObjectDomconstraint | O::ObjectTabconstraint => "CONSTRAINT",
        O::ObjectEventTrigger => "EVENT TRIGGER",
        O::ObjectExtension => "EXTENSION",
        O::ObjectFdw => "FOREIGN DATA WRAPPER",
        O::ObjectForeignServer => "SERVER",
        O::ObjectForeignTable => "FOREIGN TABLE",
        O::ObjectFunction => "FUNCTION",
        O::ObjectIndex => "INDEX",
        O::ObjectLanguage => "LANGUAGE",
        O::ObjectLargeobject => "LARGE OBJECT",
        O::ObjectMatview => "MATERIALIZED VIEW",
        O::ObjectOpclass => "OPERATOR CLASS",
        O::ObjectOperator => "OPERATOR",
        O::ObjectParameterAcl => "PARAMETER",
        O::ObjectPolicy => "POLICY",
        O::ObjectProcedure => "PROCEDURE",
        O::ObjectPublication | O::ObjectPublicationNamespace | O::ObjectPublicationRel => {
            "PUBLICATION"
        }
        O::ObjectRole => "ROLE",
        O::ObjectRoutine => "ROUTINE",
        O::ObjectRule => "RULE",
        O::ObjectSchema => "SCHEMA",
        O::ObjectSequence => "SEQUENCE",
        O::ObjectSubscription => "SUBSCRIPTION",
        O::ObjectStatisticExt => "STATISTICS",
        O::ObjectTable => "TABLE",
        O::ObjectTablespace => "TABLESPACE",
        O::ObjectTransform => "TRANSFORM",
        O::ObjectTrigger => "TRIGGER",
        O::ObjectTsconfiguration => "TEXT SEARCH CONFIGURATION",
        O::ObjectTsdictionary => "TEXT SEARCH DICTIONARY",
        O::ObjectTsparser => "TEXT SEARCH PARSER",
        O::ObjectTstemplate => "TEXT SEARCH TEMPLATE",
        O::ObjectUserMapping => "USER MAPPING",
        O::ObjectView => "VIEW",
    }
}

/// What a kind of constraint is called.
pub(in crate::bind) fn constraint(kind: ConstrType) -> &'static str {
    match kind {
        ConstrType::Undefined => "a constraint",
        ConstrType::ConstrNull => "NULL constraint",
        ConstrType::ConstrNotnull => "NOT NULL constraint of a table",
        ConstrType::ConstrDefault => "DEFAULT",
        ConstrType::ConstrIdentity => "GENERATED AS IDENTITY",
        ConstrType::ConstrGenerated => "GENERATED ALWAYS AS",
        ConstrType::ConstrCheck => "CHECK constraint",
        ConstrType::ConstrPrimary => "PRIMARY KEY constraint",
        ConstrType::ConstrUnique => "UNIQUE constraint",
        ConstrType::ConstrExclusion => "EXCLUDE constraint",
        ConstrType::ConstrForeign => "FOREIGN KEY constraint",
        ConstrType::ConstrAttrDeferrable => "DEFERRABLE",
        ConstrType::ConstrAttrNotDeferrable => "NOT DEFERRABLE",
        ConstrType::ConstrAttrDeferred => "INITIALLY DEFERRED",
        ConstrType::ConstrAttrImmediate => "INITIALLY IMMEDIATE",
        ConstrType::ConstrAttrEnforced => "ENFORCED",
        ConstrType::ConstrAttrNotEnforced => "NOT ENFORCED",
    }
}
