"""`manage.py files`: the files of a user, whether the storage has what the database says, and a copy of the storage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.lib.formatting import file_size
from accounts.models import User
from chat.files import media_copy, storage, verifying
from chat.files.embedding import request_embedding
from chat.files.quota import limits_of, used_by
from chat.files.recognising import request_recognition
from chat.management.terminal import show_examples
from chat.models import File


class Command(BaseCommand):
    help = (
        "Shows the files of a user (`list EMAIL`), or compares the storage with the database (`verify`): contents that "
        "are missing or have another size, and objects of which the database knows nothing; --delete removes those "
        "that are older than a day. `backup FOLDER` copies what the folder does not have of all files and recordings, "
        "also from a bucket, and `restore FOLDER` what the storage does not have. `recognise` has workers recognise "
        "the text in pictures and scans that were read before a recogniser was installed, or where it failed. `embed` "
        "has workers make vectors of passages again where it failed, with --all of all collections. "
        "Exit code 0, or 1: contents are missing, there is no such user, or a copy failed."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="what", required=True)
        listed = commands.add_parser("list", help="the files of a user")
        listed.add_argument("email")
        verified = commands.add_parser("verify", help="compares the storage with the database")
        verified.add_argument("--delete", action="store_true", help="delete objects that no row names")
        for name, words in (
            ("backup", "copies the storage into FOLDER"),
            ("restore", "copies FOLDER into the storage"),
        ):
            commands.add_parser(name, help=words).add_argument("folder", type=Path)
        commands.add_parser("recognise", help="recognises text in earlier pictures and scans")
        embedded = commands.add_parser("embed", help="makes vectors of passages again")
        embedded.add_argument("--all", action="store_true", help="also those that are there")
        show_examples(
            parser,
            ("files list ana@example.org", "her files, and how much room they take"),
            ("files verify", "what is missing, and what nobody knows of"),
            ("files verify --delete", "delete what nobody knows of"),
            ("files backup /backup/media", "every night, after `backup`: what is new"),
            ("files recognise", "after `pip install -r requirements/ocr.txt`"),
            ("files embed --all", "after another model has taken the place of the embedding model under its name"),
            ("files restore /backup/media", "after `restore`; then `files verify`"),
        )

    def handle(self, *_args: object, **options: Any) -> None:
        if options["what"] == "list":
            self._list(options["email"])
        elif options["what"] in ("backup", "restore"):
            self._copy(options["what"], options["folder"])
        elif options["what"] == "recognise":
            self._recognise()
        elif options["what"] == "embed":
            self._embed(anew=options["all"])
        else:
            self._verify(delete=options["delete"])

    def _list(self, email: str) -> None:
        user = User.objects.filter(email__iexact=email).first()
        if user is None:
            raise CommandError("There is no account with this address.")
        for file in File.objects.filter(owner=user).select_related("blob").order_by("pk"):
            where = file.conversation_id or "-"
            self.stdout.write(f"{file.pk}  {file.blob.size:>12}  {file.blob.state:8}  {where}  {file.name}")
        used, limit = used_by(user.pk), limits_of(user.pk).storage
        most = "no limit" if limit is None else file_size(limit)
        self.stdout.write(f"{file_size(used.files)} of {most}; uploads in progress: {file_size(used.uploads)}")

    def _copy(self, what: str, folder: Path) -> None:
        if what == "restore" and not folder.is_dir():
            raise CommandError(f"There is no folder {folder}.")
        try:
            done = (media_copy.backup if what == "backup" else media_copy.restore)(folder)
        except storage.storage_errors() as error:
            raise CommandError(f"The copy is not complete; repeat it to go on: {error}") from None
        self.stdout.write(f"{done.found} contents; {done.copied} copied ({file_size(done.size)}).")

    def _embed(self, *, anew: bool) -> None:
        count = request_embedding(anew=anew)
        self.stdout.write(f"Vectors of {count} contents will be made by the workers, in the background.")

    def _recognise(self) -> None:
        if settings.OCR == "off":
            raise CommandError("OCR is off: set it to auto, or remove it from the settings.")
        count = request_recognition()
        self.stdout.write(f"The text of {count} contents will be recognised by the workers, in the background.")

    def _verify(self, *, delete: bool) -> None:
        damaged = 0
        for blob, why in verifying.damaged():
            damaged += 1
            self.stdout.write(f"content {blob.pk} ({blob.path}): {why}")
        unknown = list(verifying.unknown())
        for path in unknown:
            self.stdout.write(f"unknown: {path}")
        if delete and storage.delete(unknown):
            raise CommandError("Some objects could not be deleted; see the log.")
        done = "deleted" if delete else "found"
        self.stdout.write(f"{damaged} damaged contents; {len(unknown)} unknown objects {done}.")
        if damaged:
            raise CommandError("Restore what is missing from a backup of the storage.")
