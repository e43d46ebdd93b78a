//! The table of settings: those of ours, and the names of those that PostgreSQL has beside them.

/// What values a setting takes.
pub(super) enum Kind {
    Bool,
    /// Whole numbers from..=to, and the unit that a bare number has.
    Integer(i64, i64, Unit),
    /// Numbers from..=to.
    Real(f64, f64),
    Text,
    /// Names of schemas.
    Path,
    /// One of these words.
    Word(&'static [&'static str]),
    DateStyle,
    TimeZone,
    /// A switch that has no other side here.
    Off,
    /// The session's role by its name, the only one that it can be.
    Role,
    /// Shown, never set.
    Fixed,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Unit {
    None,
    Milliseconds,
    Kilobytes,
    Pages,
}

pub(super) struct Setting {
    /// As SHOW ALL prints it.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) default: &'static str,
    /// Whether a change is told with ParameterStatus.
    pub(super) reported: bool,
    /// Whether SHOW ALL leaves it out.
    pub(super) hidden: bool,
}

const fn setting(name: &'static str, kind: Kind, default: &'static str) -> Setting {
    Setting { name, kind, default, reported: false, hidden: false }
}

const fn reported(name: &'static str, kind: Kind, default: &'static str) -> Setting {
    Setting { name, kind, default, reported: true, hidden: false }
}

/// As it is without SHOW ALL.
const fn hidden(setting: Setting) -> Setting {
    Setting { name: setting.name, hidden: true, ..setting }
}

pub(super) const INT_MAX: i64 = i32::MAX as i64;

#[rustfmt::skip] // A line a setting, in the order of SHOW ALL.
pub(super) static SETTINGS: &[Setting] = &[
    reported("application_name", Kind::Text, ""),
    setting("backslash_quote", Kind::Word(&["safe_encoding", "on"]), "safe_encoding"),
    setting("bytea_output", Kind::Word(&["hex", "escape"]), "hex"),
    setting("check_function_bodies", Kind::Bool, "on"),
    reported("client_encoding", Kind::Word(&["UTF8"]), "UTF8"),
    setting("client_min_messages", Kind::Word(&["debug5", "debug4", "debug3", "debug2", "debug1", "log", "info", "notice", "warning", "error"]), "notice"),
    setting("constraint_exclusion", Kind::Word(&["partition", "on", "off"]), "partition"),
    setting("cpu_index_tuple_cost", Kind::Real(0.0, f64::MAX), "0.005"),
    setting("cpu_operator_cost", Kind::Real(0.0, f64::MAX), "0.0025"),
    setting("cpu_tuple_cost", Kind::Real(0.0, f64::MAX), "0.01"),
    setting("cursor_tuple_fraction", Kind::Real(0.0, 1.0), "0.1"),
    reported("DateStyle", Kind::DateStyle, "ISO, MDY"),
    setting("default_table_access_method", Kind::Word(&["heap"]), "heap"),
    setting("default_tablespace", Kind::Word(&[""]), ""),
    setting("default_transaction_deferrable", Kind::Bool, "off"),
    setting("default_transaction_isolation", Kind::Word(&["read committed", "read uncommitted"]), "read committed"),
    reported("default_transaction_read_only", Kind::Bool, "off"),
    setting("effective_cache_size", Kind::Integer(1, INT_MAX, Unit::Pages), "524288"),
    // Off since PostgreSQL 12, and still sent by clients that are older.
    hidden(setting("default_with_oids", Kind::Off, "off")),
    setting("enable_async_append", Kind::Bool, "on"),
    setting("enable_bitmapscan", Kind::Bool, "on"),
    setting("enable_gathermerge", Kind::Bool, "on"),
    setting("enable_hashagg", Kind::Bool, "on"),
    setting("enable_hashjoin", Kind::Bool, "on"),
    setting("enable_incremental_sort", Kind::Bool, "on"),
    setting("enable_indexonlyscan", Kind::Bool, "on"),
    setting("enable_indexscan", Kind::Bool, "on"),
    setting("enable_material", Kind::Bool, "on"),
    setting("enable_memoize", Kind::Bool, "on"),
    setting("enable_mergejoin", Kind::Bool, "on"),
    setting("enable_nestloop", Kind::Bool, "on"),
    setting("enable_parallel_append", Kind::Bool, "on"),
    setting("enable_parallel_hash", Kind::Bool, "on"),
    setting("enable_partition_pruning", Kind::Bool, "on"),
    setting("enable_partitionwise_aggregate", Kind::Bool, "off"),
    setting("enable_partitionwise_join", Kind::Bool, "off"),
    setting("enable_seqscan", Kind::Bool, "on"),
    setting("enable_sort", Kind::Bool, "on"),
    setting("enable_tidscan", Kind::Bool, "on"),
    setting("escape_string_warning", Kind::Bool, "on"),
    setting("extra_float_digits", Kind::Integer(-15, 3, Unit::None), "1"),
    setting("from_collapse_limit", Kind::Integer(1, INT_MAX, Unit::None), "8"),
    setting("geqo", Kind::Bool, "on"),
    setting("hash_mem_multiplier", Kind::Real(1.0, 1000.0), "2"),
    setting("idle_in_transaction_session_timeout", Kind::Integer(0, INT_MAX, Unit::Milliseconds), "0"),
    setting("idle_session_timeout", Kind::Integer(0, INT_MAX, Unit::Milliseconds), "0"),
    reported("in_hot_standby", Kind::Fixed, "off"),
    reported("integer_datetimes", Kind::Fixed, "on"),
    reported("IntervalStyle", Kind::Word(&["postgres", "postgres_verbose", "sql_standard", "iso_8601"]), "postgres"),
    hidden(reported("is_superuser", Kind::Fixed, "on")),
    setting("jit", Kind::Bool, "on"),
    setting("join_collapse_limit", Kind::Integer(1, INT_MAX, Unit::None), "8"),
    setting("lc_collate", Kind::Fixed, "C"),
    setting("lc_ctype", Kind::Fixed, "C.UTF-8"),
    setting("lc_messages", Kind::Text, "C"),
    setting("lc_monetary", Kind::Text, "C"),
    setting("lc_numeric", Kind::Text, "C"),
    setting("lc_time", Kind::Text, "C"),
    setting("lock_timeout", Kind::Integer(0, INT_MAX, Unit::Milliseconds), "0"),
    setting("maintenance_work_mem", Kind::Integer(1024, INT_MAX, Unit::Kilobytes), "65536"),
    setting("max_identifier_length", Kind::Fixed, "63"),
    setting("max_parallel_maintenance_workers", Kind::Integer(0, 1024, Unit::None), "2"),
    setting("max_parallel_workers", Kind::Integer(0, 1024, Unit::None), "8"),
    setting("max_parallel_workers_per_gather", Kind::Integer(0, 1024, Unit::None), "2"),
    setting("parallel_setup_cost", Kind::Real(0.0, f64::MAX), "1000"),
    setting("parallel_tuple_cost", Kind::Real(0.0, f64::MAX), "0.1"),
    setting("plan_cache_mode", Kind::Word(&["auto", "force_generic_plan", "force_custom_plan"]), "auto"),
    setting("quote_all_identifiers", Kind::Bool, "off"),
    setting("random_page_cost", Kind::Real(0.0, f64::MAX), "4"),
    hidden(setting("role", Kind::Role, "none")),
    setting("row_security", Kind::Bool, "on"),
    setting("search_path", Kind::Path, "\"$user\", public"),
    setting("seq_page_cost", Kind::Real(0.0, f64::MAX), "1"),
    reported("server_encoding", Kind::Fixed, "UTF8"),
    reported("server_version", Kind::Fixed, ""),
    setting("server_version_num", Kind::Fixed, "150014"),
    hidden(reported("session_authorization", Kind::Role, "")),
    setting("session_replication_role", Kind::Word(&["origin"]), "origin"),
    hidden(setting("ssl_renegotiation_limit", Kind::Integer(0, 0, Unit::Kilobytes), "0")),
    reported("standard_conforming_strings", Kind::Word(&["on"]), "on"),
    setting("statement_timeout", Kind::Integer(0, INT_MAX, Unit::Milliseconds), "0"),
    setting("synchronize_seqscans", Kind::Bool, "on"),
    setting("synchronous_commit", Kind::Word(&["on", "remote_apply", "remote_write", "local"]), "on"),
    setting("tcp_keepalives_count", Kind::Integer(0, INT_MAX, Unit::None), "0"),
    setting("tcp_keepalives_idle", Kind::Integer(0, INT_MAX, Unit::None), "0"),
    setting("tcp_keepalives_interval", Kind::Integer(0, INT_MAX, Unit::None), "0"),
    setting("tcp_user_timeout", Kind::Integer(0, INT_MAX, Unit::Milliseconds), "0"),
    setting("temp_tablespaces", Kind::Word(&[""]), ""),
    reported("TimeZone", Kind::TimeZone, "UTC"),
    setting("transaction_deferrable", Kind::Bool, "off"),
    setting("transaction_isolation", Kind::Word(&["read committed", "read uncommitted"]), "read committed"),
    setting("transaction_read_only", Kind::Bool, "off"),
    setting("work_mem", Kind::Integer(64, INT_MAX, Unit::Kilobytes), "4096"),
    setting("xmloption", Kind::Word(&["content", "document"]), "content"),
];

/// A setting of ours by its name in lower case.
pub(super) fn find(lower: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|known| known.name.eq_ignore_ascii_case(lower))
}

/// Whether PostgreSQL 15 has a setting of that name that we lack.
pub(crate) fn is_foreign(lower: &str) -> bool {
    FOREIGN.split_whitespace().any(|name| name.eq_ignore_ascii_case(lower))
}

const FOREIGN: &str = "
    allow_in_place_tablespaces allow_system_table_mods archive_cleanup_command archive_command
    archive_library archive_mode archive_timeout array_nulls authentication_timeout autovacuum
    autovacuum_analyze_scale_factor autovacuum_analyze_threshold autovacuum_freeze_max_age
    autovacuum_max_workers autovacuum_multixact_freeze_max_age autovacuum_naptime
    autovacuum_vacuum_cost_delay autovacuum_vacuum_cost_limit autovacuum_vacuum_insert_scale_factor
    autovacuum_vacuum_insert_threshold autovacuum_vacuum_scale_factor autovacuum_vacuum_threshold
    autovacuum_work_mem backend_flush_after backtrace_functions bgwriter_delay bgwriter_flush_after
    bgwriter_lru_maxpages bgwriter_lru_multiplier block_size bonjour bonjour_name
    checkpoint_completion_target checkpoint_flush_after checkpoint_timeout checkpoint_warning
    client_connection_check_interval cluster_name commit_delay commit_siblings compute_query_id
    config_file data_checksums data_directory data_directory_mode data_sync_retry db_user_namespace
    deadlock_timeout debug_assertions debug_discard_caches debug_pretty_print debug_print_parse
    debug_print_plan debug_print_rewritten default_statistics_target default_text_search_config
    default_toast_compression dynamic_library_path dynamic_shared_memory_type
    effective_io_concurrency event_source exit_on_error extension_destdir external_pid_file
    force_parallel_mode fsync full_page_writes geqo_effort geqo_generations geqo_pool_size geqo_seed
    geqo_selection_bias geqo_threshold gin_fuzzy_search_limit gin_pending_list_limit hba_file
    hot_standby hot_standby_feedback huge_page_size huge_pages ident_file ignore_checksum_failure
    ignore_invalid_pages ignore_system_indexes jit_above_cost jit_debugging_support jit_dump_bitcode
    jit_expressions jit_inline_above_cost jit_optimize_above_cost jit_profiling_support jit_provider
    jit_tuple_deforming krb_caseins_users krb_server_keyfile listen_addresses lo_compat_privileges
    local_preload_libraries log_autovacuum_min_duration log_checkpoints log_connections
    log_destination log_directory log_disconnections log_duration log_error_verbosity
    log_executor_stats log_file_mode log_filename log_hostname log_line_prefix log_lock_waits
    log_min_duration_sample log_min_duration_statement log_min_error_statement log_min_messages
    log_parameter_max_length log_parameter_max_length_on_error log_parser_stats log_planner_stats
    log_recovery_conflict_waits log_replication_commands log_rotation_age log_rotation_size
    log_startup_progress_interval log_statement log_statement_sample_rate log_statement_stats
    log_temp_files log_timezone log_transaction_sample_rate log_truncate_on_rotation
    logging_collector logical_decoding_work_mem maintenance_io_concurrency max_connections
    max_files_per_process max_function_args max_index_keys max_locks_per_transaction
    max_logical_replication_workers max_pred_locks_per_page max_pred_locks_per_relation
    max_pred_locks_per_transaction max_prepared_transactions max_replication_slots
    max_slot_wal_keep_size max_stack_depth max_standby_archive_delay max_standby_streaming_delay
    max_sync_workers_per_subscription max_wal_senders max_wal_size max_worker_processes
    min_dynamic_shared_memory min_parallel_index_scan_size min_parallel_table_scan_size min_wal_size
    old_snapshot_threshold parallel_leader_participation password_encryption port post_auth_delay
    pre_auth_delay primary_conninfo primary_slot_name promote_trigger_file recovery_end_command
    recovery_init_sync_method recovery_min_apply_delay recovery_prefetch recovery_target
    recovery_target_action recovery_target_inclusive recovery_target_lsn recovery_target_name
    recovery_target_time recovery_target_timeline recovery_target_xid recursive_worktable_factor
    remove_temp_files_after_crash restart_after_crash restore_command
    restrict_nonsystem_relation_kind seed segment_size session_preload_libraries shared_buffers
    shared_memory_size shared_memory_size_in_huge_pages shared_memory_type shared_preload_libraries
    ssl ssl_ca_file ssl_cert_file ssl_ciphers ssl_crl_dir ssl_crl_file ssl_dh_params_file
    ssl_ecdh_curve ssl_key_file ssl_library ssl_max_protocol_version ssl_min_protocol_version
    ssl_passphrase_command ssl_passphrase_command_supports_reload ssl_prefer_server_ciphers
    stats_fetch_consistency superuser_reserved_connections synchronous_standby_names syslog_facility
    syslog_ident syslog_sequence_numbers syslog_split_messages temp_buffers temp_file_limit
    timezone_abbreviations trace_notify trace_recovery_messages trace_sort track_activities
    track_activity_query_size track_commit_timestamp track_counts track_functions track_io_timing
    track_wal_io_timing transform_null_equals unix_socket_directories unix_socket_group
    unix_socket_permissions update_process_title vacuum_cost_delay vacuum_cost_limit
    vacuum_cost_page_dirty vacuum_cost_page_hit vacuum_cost_page_miss vacuum_defer_cleanup_age
    vacuum_failsafe_age vacuum_freeze_min_age vacuum_freeze_table_age vacuum_multixact_failsafe_age
    vacuum_multixact_freeze_min_age vacuum_multixact_freeze_table_age wal_block_size wal_buffers
    wal_compression wal_consistency_checking wal_decode_buffer_size wal_init_zero wal_keep_size
    wal_level wal_log_hints wal_receiver_create_temp_slot wal_receiver_status_interval
    wal_receiver_timeout wal_recycle wal_retrieve_retry_interval wal_segment_size wal_sender_timeout
    wal_skip_threshold wal_sync_method wal_writer_delay wal_writer_flush_after xmlbinary
    zero_damaged_pages
";
