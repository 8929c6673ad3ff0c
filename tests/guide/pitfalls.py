"""What hurt users of the original in the keeping of their state, clause by clause.

`clause` says what happened there, or what must be true here; `shown` are the tests of it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clause:
    """A clause of a pitfall."""

    pitfall: str
    clause: str
    shown: tuple[str, ...]


SERVICE = "services/test_backups.py::"
SCHEDULE = "services/test_backup_schedule.py::"
BUNDLES = "services/test_bundles.py::"
ROTATE = "store/test_rotation.py::"
FULL = "web/test_full_disk.py::"
RETENTION = "domain/test_retention.py::"

CLAUSES = (
    Clause(
        "P-2",
        "export by another version leaves the database alone, and its bundle is not empty",
        (f"{BUNDLES}test_an_export_neither_rotates_nor_changes_another_versions_database",),
    ),
    Clause(
        "P-2",
        "export beside a running server of another version",
        (f"{BUNDLES}test_an_export_beside_a_writing_original_sees_one_moment",),
    ),
    Clause(
        "P-2",
        "no other command rotates: it refuses, or reads",
        (
            "cli/test_catalog.py::test_the_state_of_another_version_is_refused_and_not_touched",
            f"{BUNDLES}test_a_database_of_another_version_is_refused_with_the_remedy",
            "cli/test_backups.py::test_the_database_of_another_version_is_only_read",
            "services/test_verify.py::test_verifying_changes_nothing",
            "cli/test_show_config.py::test_nothing_is_created",
        ),
    ),
    Clause(
        "P-2",
        "a rotation needs the database alone; two servers cannot both do it",
        (
            f"{ROTATE}test_nothing_is_rotated_under_another_program_and_it_is_named",
            f"{ROTATE}test_a_command_that_uses_the_state_holds_the_start_off",
            "store/test_locks.py::test_a_second_server_is_told_who_the_first_is",
        ),
    ),
    Clause(
        "P-2",
        "a downgrade does not rotate a second time",
        (
            "store/test_return_ticket.py::test_going_back_brings_the_database_back",
            "store/test_return_ticket.py::test_work_in_the_newer_release_is_not_taken_back",
        ),
    ),
    Clause(
        "P-2",
        "a bundle and a copy are taken before a rotation",
        (
            f"{ROTATE}test_the_backup_sees_the_old_database_alone_and_outside_a_transaction",
            f"{ROTATE}test_a_backup_that_fails_refuses_the_start_and_changes_nothing",
            "services/test_backup_files.py::test_the_backup_before_a_rotation_uses_the_connection_that_has_the_file_alone",
        ),
    ),
    Clause(
        "P-17",
        "a failing target is not asked each minute, and is told once",
        (
            "domain/test_schedule.py::test_a_failing_target_is_tried_a_few_times_a_day",
            f"{SCHEDULE}test_a_failure_is_tried_again_after_growing_pauses_and_told_once",
            f"{SCHEDULE}test_a_place_that_cannot_be_used_is_told_and_an_alarm_and_tried_again",
        ),
    ),
    Clause(
        "P-17",
        "a last run in the future does not mean never",
        ("domain/test_schedule.py::test_a_clock_that_went_back_means_one_run_and_no_pruning",),
    ),
    Clause(
        "P-17",
        "the schedule outlives an upgrade",
        (
            "domain/test_rotation.py::test_settings_that_only_configure_operations_are_carried",
            "store/test_carry_over.py::test_settings_of_operations_are_carried_and_no_others",
        ),
    ),
    Clause(
        "P-18",
        "an empty backup does not push out a full one",
        (
            f"{RETENTION}test_what_knows_of_far_more_machines_than_the_newest_does_not_all_go",
            f"{RETENTION}test_an_empty_backup_a_day_leaves_the_last_full_one",
            f"{RETENTION}test_what_was_taken_before_upgrades_does_not_pile_up",
            f"{ROTATE}test_the_fresh_database_has_the_hardware_unbound",
        ),
    ),
    Clause(
        "P-18",
        "a name that only begins like one of ours is left alone",
        (
            "store/test_backup_shelf.py::test_retention_has_a_say_over_what_this_server_wrote_on_schedule_alone",
            "store/test_backup_shelf.py::test_a_name_says_its_moment",
        ),
    ),
    Clause(
        "P-18",
        "the one just made is not removed, whatever is dated in the future",
        (
            f"{RETENTION}test_the_newest_proven_and_the_newest_that_counts_stay",
            f"{RETENTION}test_what_is_removed_is_ours_sound_unpinned_and_not_of_the_future",
            f"{SERVICE}test_a_clock_that_went_back_prunes_nothing",
        ),
    ),
    Clause(
        "P-18",
        "order is by moment, not by name",
        ("store/test_backup_shelf.py::test_backups_are_listed_the_newest_first_whoever_made_them",),
    ),
    Clause(
        "P-18",
        "a backup can be pinned",
        (
            f"{SERVICE}test_an_operator_removes_but_not_what_is_pinned",
            "web/test_ui_backups.py::test_pin_unpin_and_remove",
        ),
    ),
    Clause(
        "P-21",
        "written beside, synced, renamed, the directory synced",
        (
            "store/test_publish.py::test_everything_is_durable_before_it_has_its_name",
            "crashlab/test_durability.py::test_nothing_has_its_name_before_it_is_durable",
            "crashlab/test_power.py::test_what_is_finished_outlives_a_power_cut",
        ),
    ),
    Clause(
        "P-21",
        "on a full disk the bundle that was there stays whole",
        (f"{BUNDLES}test_a_full_disk_leaves_the_old_bundle_whole",),
    ),
    Clause(
        "P-21",
        "an existing destination needs --force",
        (
            f"{BUNDLES}test_an_existing_bundle_is_replaced_only_with_force",
            f"{BUNDLES}test_a_directory_with_anything_else_in_it_is_never_written_to",
        ),
    ),
    Clause(
        "P-21",
        "a failure removes nothing that was there before",
        ("store/test_publish.py::test_a_failure_leaves_the_directory_that_was_there",),
    ),
    Clause(
        "P-21",
        "a backup has checksums, and a flipped bit of it is noticed",
        (
            "services/test_backup_files.py::test_a_backup_holds_the_bundle_the_database_a_manifest_and_sums",
            "services/test_verify.py::test_any_flipped_bit_of_a_backup_is_noticed",
        ),
    ),
    Clause(
        "P-29",
        "on a full disk contacts, plans and files are answered",
        (f"{FULL}test_contacts_plans_and_files_are_answered_and_nothing_is_begun",),
    ),
    Clause(
        "P-29",
        "reports of a flash are not lost over it",
        (
            f"{FULL}test_a_flash_under_way_goes_on_and_a_failed_one_waits",
            f"{FULL}test_contacts_and_plans_of_then_are_told_once_there_is_room",
        ),
    ),
    Clause(
        "P-29",
        "what needs the disk is refused with a sentence, and readiness says no",
        (
            f"{FULL}test_writes_are_refused_with_a_sentence_and_readiness_says_why",
            "web/test_health.py::test_little_room_on_the_disk_makes_it_unready",
        ),
    ),
    Clause(
        "P-29",
        "with room again it goes on by itself",
        (f"{FULL}test_with_room_again_it_recovers_by_itself",),
    ),
    Clause(
        "P-32a",
        "no log is unlinked: a committed row is never lost",
        (
            f"{ROTATE}test_the_archive_holds_every_acknowledged_row_in_one_private_file",
            f"{ROTATE}test_a_log_that_an_admin_of_the_original_enabled_is_taken_over",
            "crashlab/test_cuts.py::test_the_laboratory_catches_a_rotation_that_unlinks_the_log",
            "crashlab/test_cuts.py::test_a_cut_at_any_sampled_system_call_loses_nothing_and_heals_at_the_next_start",
        ),
    ),
    Clause(
        "P-32b",
        "the schedule is not off after an upgrade",
        ("store/test_carry_over.py::test_settings_of_operations_are_carried_and_no_others",),
    ),
    Clause(
        "P-32c",
        "what is no database is set aside, and the server starts",
        (
            "store/test_quarantine.py::test_a_file_that_is_no_database_is_set_aside_whole",
            "store/test_quarantine.py::test_the_fresh_database_tells_what_happened_and_what_to_do",
            "services/test_recover.py::test_most_of_a_damaged_database_is_salvaged",
        ),
    ),
    Clause(
        "P-32d",
        "archives do not fill the disk unnoticed: they are counted, and removed by hand",
        (
            "services/test_old_databases.py::test_many_of_them_are_a_note_of_the_doctor",
            "services/test_old_databases.py::test_what_is_chosen_goes_and_nothing_else",
            "web/test_ui_recover.py::test_what_would_go_is_shown_before_it_goes",
        ),
    ),
    Clause(
        "P-32d",
        "the directory is synced, and two starts exclude each other",
        (
            "crashlab/test_durability.py::test_nothing_has_its_name_before_it_is_durable",
            "store/test_locks.py::test_a_second_server_is_told_who_the_first_is",
        ),
    ),
    Clause(
        "P-32e",
        "a backup is taken first",
        (f"{ROTATE}test_a_backup_that_fails_refuses_the_start_and_changes_nothing",),
    ),
    Clause(
        "P-36",
        "the login page tells no password",
        ("web/test_pitfalls.py::test_the_login_page_hints_at_no_password",),
    ),
    Clause(
        "P-36",
        "no column of the backups is always empty",
        ("web/test_ui_backups.py::test_every_column_says_something",),
    ),
    Clause(
        "P-36",
        "no page, finding or sentence names a command that there is not",
        (
            "guide/test_commands.py::test_a_command_that_the_program_speaks_of_is_one_of_its_own",
            "test_docs.py::test_a_command_line_of_the_documents_is_one_that_the_program_takes",
        ),
    ),
    Clause(
        "P-36",
        "a new binding leaves the last inventory where it was",
        ("web/test_pitfalls.py::test_a_new_binding_leaves_the_last_inventory_where_it_was",),
    ),
    Clause(
        "P-36",
        "an inventory of more than 64 disks is taken",
        ("web/test_body.py::test_512_disks_are_taken_and_513_are_not",),
    ),
    Clause(
        "P-36",
        "no page waits for a probe",
        (
            "services/test_doctor.py::test_a_page_runs_no_check_that_asks_other_hosts",
            "services/test_doctor.py::test_a_page_does_not_look_for_holders_of_ports_each_time",
        ),
    ),
    Clause(
        "P-36",
        "live pages go on when they are filtered and sorted",
        ("web/test_pitfalls.py::test_a_page_follows_what_happens_also_filtered_and_sorted",),
    ),
    Clause(
        "P-36",
        "the steps of a deploy are counted right",
        ("container/test_deploy.py::test_one_command_brings_up_a_server_that_one_can_log_in_to",),
    ),
    Clause(
        "P-36",
        "init of a path that cannot be writes nothing and says so",
        (
            "cli/test_init.py::test_a_file_in_the_way_is_one_line",
            "cli/test_init.py::test_a_directory_below_one_that_is_missing_is_made",
        ),
    ),
    Clause(
        "P-36",
        "show-config prints no password",
        ("cli/test_show_config.py::test_secrets_are_masked",),
    ),
    Clause(
        "P-36",
        "acts on many machines, and their undo",
        (
            "cli/test_machine_act.py::test_an_act_is_shown_then_done_then_undone",
            "services/test_bulk.py::test_undo_brings_back_all_but_what_has_changed_since",
        ),
    ),
    Clause(
        "P-36",
        "a refusal does not repeat what was sent",
        ("web/test_pitfalls.py::test_a_refusal_is_a_sentence_and_not_what_was_sent",),
    ),
)
