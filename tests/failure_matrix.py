"""What may go wrong with the state, how a test brings it about, and what must hold all the same.

`tests/test_failure_matrix.py` has every test collected; `docs/explanation/data-safety.md` shows it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """`tests` are files with the functions in them that prove it; `missing` is what none does."""

    fault: str
    brought_about: str
    must_hold: str
    tests: dict[str, tuple[str, ...]]
    missing: str = ""


ROWS = (
    Row(
        "kill -9 at each system call",
        "strace; every point by `python -m tests.crashlab`, a spread sample in the suite",
        "nothing acknowledged is lost, nothing half has a name, the next start heals it",
        {
            "tests/crashlab/test_cuts.py": (
                "test_a_cut_at_any_sampled_system_call_loses_nothing_and_heals_at_the_next_start",
                "test_the_laboratory_catches_a_rotation_that_unlinks_the_log",
                "test_the_laboratory_catches_a_rotation_that_trusts_closing_when_the_disk_fails",
            ),
            "tests/crashlab/test_remote.py": (
                "test_a_copy_that_is_cut_off_anywhere_on_its_way_is_none_and_is_gone_on_with",
            ),
            "tests/store/test_database.py": ("test_every_acknowledged_change_survives_kill_9",),
            "tests/services/test_bundles.py": (
                "test_a_killed_import_changes_nothing_and_the_next_one_sweeps",
            ),
            "tests/cli/test_migrate_killed.py": (
                "test_the_new_host_dies_at_each_step",
                "test_the_old_host_dies_at_each_step",
            ),
            "tests/cli/test_offsite.py": (
                "test_a_push_that_is_killed_leaves_no_copy_and_is_gone_on_with",
            ),
        },
    ),
    Row(
        "EIO, ENOSPC, EINTR, EACCES, EROFS at each system call",
        "the same, with an error",
        "done or refused in one line, no loss, nothing left over",
        {
            "tests/crashlab/test_cuts.py": (
                "test_a_cut_at_any_sampled_system_call_loses_nothing_and_heals_at_the_next_start",
                "test_a_read_that_the_disk_refuses_once_is_not_taken_for_damage",
            ),
            "tests/services/test_bundles.py": (
                "test_a_failing_disk_in_the_transaction_changes_nothing",
            ),
            "tests/services/test_backup_files.py": (
                "test_a_disk_error_anywhere_leaves_no_half_backup",
            ),
            "tests/web/test_broken_disk.py": (
                "test_a_real_server_whose_reads_and_writes_fail_goes_on",
            ),
        },
    ),
    Row(
        "power cut",
        "ext4 on a loop device, shut down in the middle",
        "what has its name is whole, what was acknowledged is there",
        {
            "tests/crashlab/test_power.py": (
                "test_a_power_cut_in_the_middle_loses_nothing",
                "test_what_is_finished_outlives_a_power_cut",
                "test_the_disk_forgets_what_was_not_synced",
            ),
        },
    ),
    Row(
        "order of durability",
        "read from strace",
        "no name before its bytes are synced, its directory after",
        {
            "tests/crashlab/test_durability.py": (
                "test_nothing_has_its_name_before_it_is_durable",
                "test_an_order_that_is_wrong_is_seen",
            ),
            "tests/store/test_publish.py": ("test_everything_is_durable_before_it_has_its_name",),
        },
    ),
    Row(
        "full disk",
        "tmpfs of 2 or 3 MiB",
        "the database is well, nothing is left over, an alarm, growing pauses; machines are"
        " answered",
        {
            "tests/store/test_rotation.py": (
                "test_a_full_disk_refuses_with_sizes_and_a_start_with_room_succeeds",
            ),
            "tests/store/test_database.py": (
                "test_a_full_disk_refuses_the_change_and_keeps_the_rest",
            ),
            "tests/services/test_backup_schedule.py": (
                "test_a_full_disk_of_backups_costs_nothing_that_there_is",
            ),
            "tests/services/test_bundles.py": ("test_a_full_disk_leaves_the_old_bundle_whole",),
            "tests/web/test_full_disk.py": (
                "test_contacts_plans_and_files_are_answered_and_nothing_is_begun",
                "test_with_room_again_it_recovers_by_itself",
            ),
        },
    ),
    Row(
        "read-only root, no writable directory, noexec",
        "bwrap, bind mounts, tmpfs",
        "it serves, or says why in one line",
        {
            "tests/pyz/test_read_only.py": (
                "test_the_host_of_these_tests_is_read_only",
                "test_it_serves_and_exports_there",
            ),
            "tests/pyz/test_native.py": (
                "test_it_loads_from_memory_and_writes_nothing",
                "test_without_memory_files_it_loads_from_the_state_directory",
            ),
            "tests/cli/test_hostile_places.py": (
                "test_a_read_only_state_directory_is_one_line",
                "test_a_state_directory_from_which_nothing_may_be_run_serves",
                "test_a_root_that_cannot_be_written_serves",
                "test_a_host_without_proc_serves",
            ),
        },
    ),
    Row(
        "no permission, another's directory, mode 0777",
        "chmod, chown, setpriv",
        "refused with the path and what to do, or made private",
        {
            "tests/cli/test_hostile_places.py": (
                "test_another_s_private_directory_is_one_line",
                "test_another_s_database_in_ones_own_directory_is_one_line",
                "test_another_s_directory_that_all_may_write_is_one_line",
                "test_ones_own_directory_that_all_may_write_is_made_private",
                "test_a_lock_of_another_is_one_line",
            ),
            "tests/test_state_dir.py": (
                "test_a_directory_of_another_that_others_write_is_refused_with_the_remedy",
            ),
        },
    ),
    Row(
        "damaged pages, zeroed header, cut file, huge freelist",
        "bytes overwritten: 20 kinds, in databases of three origins",
        "set aside whole or served, most of it salvaged, never a traceback",
        {
            "tests/store/test_damage.py": (
                "test_a_damaged_database_stops_no_start_and_is_no_traceback",
                "test_most_of_what_noise_left_is_salvaged",
                "test_noise_in_one_page_costs_the_rows_of_that_page_alone",
                "test_a_server_starts_over_noise_and_says_so",
            ),
            "tests/store/test_quarantine.py": (
                "test_a_file_that_is_no_database_is_set_aside_whole",
                "test_damage_in_the_middle_of_an_old_database_is_found_before_it_is_archived",
            ),
            "tests/store/test_going_back.py": (
                "test_a_damaged_one_is_set_aside_and_the_archive_takes_its_place",
                "test_a_damaged_archive_does_not_take_the_place_of_a_damaged_database",
            ),
            "tests/services/test_recover.py": ("test_no_damage_makes_salvage_fall",),
            "tests/services/test_recover_by_shape.py": (
                "test_all_that_is_not_on_the_lost_page_comes_back",
                "test_no_damage_makes_it_fall",
                "test_noise_is_refused_in_one_line",
            ),
            "tests/store/test_carving.py": (
                "test_noise_gives_nothing_that_falls_and_work_without_end",
            ),
            "tests/services/test_verify.py": ("test_any_flipped_bit_of_a_backup_is_noticed",),
        },
    ),
    Row(
        "hot log, hot journal, log without its database, stale index, log of another database",
        "killed writers, files put beside",
        "every acknowledged row is there; what belongs to nothing is set aside",
        {
            "tests/crashlab/test_cuts.py": (
                "test_a_cut_at_any_sampled_system_call_loses_nothing_and_heals_at_the_next_start",
            ),
            "tests/store/test_quarantine.py": (
                "test_a_header_torn_in_a_write_is_healed_by_the_hot_journal",
                "test_a_header_torn_in_a_checkpoint_is_healed_by_the_log",
                "test_a_log_without_its_database_is_set_aside_before_sqlite_deletes_it",
                "test_the_log_of_another_database_does_not_undo_a_restore",
                "test_the_log_of_this_database_is_not_taken_for_anothers",
            ),
            "tests/store/test_damage.py": (
                "test_a_stale_index_of_the_log_loses_nothing",
                "test_a_stale_index_of_another_log_loses_nothing",
            ),
        },
    ),
    Row(
        "second server, older server still alive, idle shell of SQLite",
        "processes here and in another container",
        "exit status 75, nothing is rotated",
        {
            "tests/cli/test_owners.py": (
                "test_an_older_server_that_still_runs_keeps_its_database",
                "test_an_idle_shell_stops_a_rotation",
                "test_damage_is_not_set_aside_while_a_shell_has_it",
            ),
            "tests/store/test_rotation.py": (
                "test_nothing_is_rotated_under_another_program_and_it_is_named",
                "test_a_command_that_uses_the_state_holds_the_start_off",
            ),
            "tests/store/test_database.py": ("test_what_would_be_in_no_file_is_not_acknowledged",),
            "tests/store/test_locks.py": (
                "test_a_second_server_is_told_who_the_first_is",
                "test_a_second_server_is_refused_also_where_the_disk_was_full",
            ),
        },
    ),
    Row(
        "bundle cut at each byte, with flipped bits, of a wrong version, `true`, deep, with a key"
        " twice, of 60 MB, a link, a pipe, a device, with names that lead elsewhere",
        "made by the test, given to the real program in bounded memory",
        "exit status 65, the database is as it was",
        {
            "tests/domain/test_bundle_reader.py": (
                "test_a_bundle_cut_short_at_any_byte_is_refused",
                "test_a_bundle_with_a_flipped_bit_is_refused_or_still_a_bundle",
                "test_a_bundle_that_cannot_be_trusted_is_refused_as_a_whole",
                "test_sixty_megabytes_of_empty_lists_are_refused_early",
            ),
            "tests/cli/test_hostile_bundles.py": (
                "test_a_hostile_bundle_is_refused_in_one_line_and_changes_nothing",
                "test_names_that_lead_elsewhere_are_no_machines",
                "test_twenty_thousand_machines_come_in_within_the_same_memory",
            ),
            "tests/services/test_bundles.py": (
                "test_a_bundle_that_cannot_be_trusted_changes_nothing",
            ),
            "tests/domain/test_json_bounds.py": (
                "test_nan_and_infinity_are_read_as_null_and_never_written",
            ),
        },
    ),
    Row(
        "import, server, backup and restore at once",
        "threads and processes, a minute with BTY_SOAK_SECONDS=60",
        "one history, nobody is told that something is locked",
        {
            "tests/cli/test_side_by_side.py": ("test_import_serve_backup_and_restore_at_once",),
            "tests/services/test_restore_beside_a_server.py": (
                "test_readers_and_writers_notice_and_lose_nothing",
            ),
        },
    ),
    Row(
        "clock 400 days off, summer time both ways, no clock chip, leap day",
        "a clock that the test sets",
        "one backup a local day, one catch-up, none goes on the word of a wrong clock",
        {
            "tests/services/test_backup_clocks.py": (
                "test_a_clock_four_hundred_days_ahead_for_two_hours_costs_no_backup",
                "test_a_clock_that_is_set_back_means_one_backup_and_none_goes",
                "test_a_host_that_starts_in_1971_waits_for_its_clock",
                "test_each_local_day_has_one_backup",
            ),
            "tests/domain/test_schedule.py": (
                "test_in_a_year_of_ticks_each_local_day_has_one_run",
                "test_after_any_time_down_one_run_catches_up",
                "test_a_clock_that_went_back_means_one_run_and_no_pruning",
            ),
        },
    ),
    Row(
        "retention",
        "4,000 random histories, with names of others and moments to come",
        "the newest proven one, the pinned, the foreign and the future ones stay",
        {
            "tests/domain/test_retention.py": (
                "test_what_is_removed_is_ours_sound_unpinned_and_not_of_the_future",
                "test_the_newest_proven_and_the_newest_that_counts_stay",
                "test_what_counts_is_kept_up_to_the_number",
                "test_a_second_time_removes_nothing",
                "test_keeping_more_removes_no_more",
            ),
            "tests/store/test_backup_shelf.py": (
                "test_retention_has_a_say_over_what_this_server_wrote_on_schedule_alone",
            ),
        },
    ),
    Row(
        "upgrade: an image that never gets well, one that dies later, a crash between swap and"
        " rotation",
        "scripted",
        "the old version and the old data are back",
        {
            "tests/deploy/test_host_upgrade.py": (
                "test_a_bad_release_costs_nothing",
                "test_an_old_release_that_would_rotate_again_has_its_data",
                "test_an_upgrade_killed_at_a_stop_or_start_is_gone_on_with",
                "test_an_upgrade_killed_at_a_rename_is_gone_on_with",
            ),
            "tests/deploy/test_upgrade.py": (
                "test_in_the_end_it_is_the_new_release_or_the_old_one_with_its_data",
            ),
            "tests/container/test_upgrade.py": (
                "test_a_release_that_does_not_serve_is_taken_back_with_the_data",
            ),
            "tests/container/test_upgrade_killed.py": (
                "test_killed_it_goes_on_and_nothing_is_lost",
                "test_killed_on_its_way_back_it_goes_back",
                "test_killed_at_any_file_that_it_writes",
            ),
            "tests/boot/test_systemd_host.py": (
                "test_a_release_that_does_not_serve_is_taken_back_on_a_host",
                "test_quadlet_units_run_bty_through_an_upgrade_and_a_power_cut",
            ),
        },
    ),
    Row(
        "old formats",
        "what each release left: database, bundle, backup",
        "listed, pruned, imported, verified with a drill, recovered, rotated, exported",
        {
            "tests/golden/test_golden.py": (
                "test_there_is_a_golden_of_this_release_and_it_has_its_schema",
                "test_its_backup_is_listed_and_verified",
                "test_its_backup_stands_a_drill",
                "test_its_bundle_is_imported",
                "test_its_database_is_exported_as_it_is",
                "test_its_database_is_rotated_and_what_was_in_it_is_recovered",
                "test_the_database_in_its_backup_is_recovered_from",
                "test_its_scheduled_backups_go_when_their_time_has_come",
                "test_the_original_s_backups_stay_until_somebody_removes_them",
            ),
        },
    ),
)
