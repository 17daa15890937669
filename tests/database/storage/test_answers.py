import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from rekognition_emulator.domain.errors import TokenInUse
from rekognition_emulator.domain.faces import Collection
from rekognition_emulator.domain.idempotency import IdempotencyKey
from rekognition_emulator.storage import answers as module
from rekognition_emulator.storage.answers import PostgresAnswerStore
from rekognition_emulator.storage.database import open_pool
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.transactions import JoiningPool
from rekognition_emulator.storage.users import PostgresUserStore
from tests.support.gallery import ACTOR, OWNER, embeddings, picture

DAY = timedelta(hours=24)
ATTEMPT = IdempotencyKey(OWNER, "CreateUser", "token-1", '{"UserId": "ann"}')


@pytest.fixture
def answers(pool: JoiningPool) -> PostgresAnswerStore:
    """An empty store of answers."""
    return PostgresAnswerStore(pool)


@pytest.fixture
def album(store: PostgresStore) -> Collection:
    """An empty collection."""
    return store.create_collection(ACTOR, OWNER, "album", "128.1")


def never() -> str:
    """Must not be asked."""
    raise AssertionError("answered twice")


def answering(text: str) -> Callable[[], str]:
    """Answers with the text."""
    return lambda: text


def test_repeated_request_gets_the_first_answer(answers: PostgresAnswerStore) -> None:
    """Text for text, however often it is asked."""
    assert answers.once(ATTEMPT, DAY, answering('{"Ä": "\u2028"}')) == '{"Ä": "\u2028"}'
    for _ in range(2):
        assert answers.once(ATTEMPT, DAY, never) == '{"Ä": "\u2028"}'


def test_token_of_another_request_is_refused(answers: PostgresAnswerStore) -> None:
    """The same token with anything else to ask for is an error, and the first answer stays."""
    answers.once(ATTEMPT, DAY, answering("first"))
    with pytest.raises(TokenInUse):
        answers.once(replace(ATTEMPT, request='{"UserId": "bob"}'), DAY, never)
    assert answers.once(ATTEMPT, DAY, never) == "first"


def test_tokens_belong_to_owner_and_operation(answers: PostgresAnswerStore) -> None:
    """Another account, region or operation may use the same token for something else."""
    answers.once(ATTEMPT, DAY, answering("first"))
    for other in (
        replace(ATTEMPT, owner=replace(OWNER, account="111111111111")),
        replace(ATTEMPT, owner=replace(OWNER, region="us-east-1")),
        replace(ATTEMPT, operation="DeleteUser"),
    ):
        assert answers.once(replace(other, request="else"), DAY, answering("second")) == "second"


def test_failure_is_not_remembered_and_has_no_effect(
    answers: PostgresAnswerStore, pool: JoiningPool, album: Collection
) -> None:
    """What was done before the failure is undone, and the next attempt starts afresh."""
    users = PostgresUserStore(pool)

    def fail() -> str:
        users.create_user(ACTOR, album, "ann")
        raise ZeroDivisionError

    def succeed() -> str:
        users.create_user(ACTOR, album, "ann")
        return "done"

    with pytest.raises(ZeroDivisionError):
        answers.once(ATTEMPT, DAY, fail)
    assert not users.list_users(album, after=None, limit=9).items
    assert answers.once(ATTEMPT, DAY, succeed) == "done"
    assert len(users.list_users(album, after=None, limit=9).items) == 1


def test_database_error_inside_leaves_the_connection_usable(database_url: str) -> None:
    """A statement that fails in the middle is undone with the rest, and the same connection serves the next attempt."""
    with open_pool(database_url, connections_max=1, timeout_s=1) as pool:
        store = PostgresStore(pool)
        album = store.create_collection(ACTOR, OWNER, "album", "128.1")
        [face] = picture(embeddings(1))

        def fail() -> str:
            PostgresUserStore(pool).create_user(ACTOR, album, "ann")
            store.add_faces(ACTOR, album, uuid4(), [face, face])
            raise AssertionError

        with pytest.raises(psycopg.errors.UniqueViolation):
            PostgresAnswerStore(pool).once(ATTEMPT, DAY, fail)
        assert store.get_collection(OWNER, "album") == album
        assert PostgresAnswerStore(pool).once(ATTEMPT, DAY, answering("done")) == "done"


def test_effect_and_memory_become_visible_together(
    answers: PostgresAnswerStore, pool: JoiningPool, album: Collection
) -> None:
    """Until everything is committed, another connection sees neither the user nor the answer."""
    users = PostgresUserStore(pool)

    def seen_from_outside() -> tuple[int, int]:
        with pool.connection() as connection:
            row = connection.execute("SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM answers)").fetchone()
        assert row is not None
        return row[0], row[1]

    with ThreadPoolExecutor(1) as elsewhere:

        def answer() -> str:
            users.create_user(ACTOR, album, "ann")
            assert seen_from_outside() == (1, 1)  # this thread is inside
            return str(elsewhere.submit(seen_from_outside).result())

        assert answers.once(ATTEMPT, DAY, answer) == "(0, 0)"
        assert elsewhere.submit(seen_from_outside).result() == (1, 1)


def test_attempts_at_once_have_one_effect(answers: PostgresAnswerStore, pool: JoiningPool, album: Collection) -> None:
    """Eight attempts of one request at the same moment: one is made, all get its answer."""
    users = PostgresUserStore(pool)
    start = threading.Barrier(8)

    def attempt(number: int) -> str:
        def answer() -> str:
            users.create_user(ACTOR, album, "ann")
            return f"made by {number}"

        start.wait()
        return answers.once(ATTEMPT, DAY, answer)

    with ThreadPoolExecutor(8) as threads:
        outcomes = set(threads.map(attempt, range(8)))
    assert len(outcomes) == 1
    assert len(users.list_users(album, after=None, limit=9).items) == 1


def test_attempt_that_waited_for_a_failure_takes_its_place(answers: PostgresAnswerStore) -> None:
    """If the first of two fails, the other one is made instead of getting its error."""
    begun, second_waits = threading.Event(), threading.Event()

    def fail() -> str:
        begun.set()
        second_waits.wait(5)
        raise ZeroDivisionError

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(answers.once, ATTEMPT, DAY, fail)
        begun.wait(5)
        second = threads.submit(answers.once, ATTEMPT, DAY, answering("second"))
        threading.Timer(0.1, second_waits.set).start()
        with pytest.raises(ZeroDivisionError):
            first.result()
        assert second.result() == "second"


def test_expired_token_is_free_again(answers: PostgresAnswerStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its life time a token may be used for the same or for something else, even if it is still there."""
    monkeypatch.setattr(module, "FORGET", 0)
    past = timedelta(seconds=-1)
    for text in ("first", "second"):
        assert answers.once(ATTEMPT, past, answering(text)) == text
    other = replace(ATTEMPT, request="else")
    assert answers.once(other, DAY, answering("third")) == "third"
    assert answers.once(other, DAY, never) == "third"


def test_expired_answers_go_some_at_a_time(
    answers: PostgresAnswerStore, pool: JoiningPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each new answer removes a bounded number of expired ones, more than it adds, and none that is alive."""
    monkeypatch.setattr(module, "FORGET", 0)
    answers.once(replace(ATTEMPT, token="alive"), DAY, answering("alive"))
    for number in range(10):
        answers.once(replace(ATTEMPT, token=f"old-{number}"), timedelta(seconds=-1), answering(""))
    monkeypatch.setattr(module, "FORGET", 4)

    def left() -> int:
        with pool.connection() as connection:
            row = connection.execute("SELECT count(*) FROM answers").fetchone()
        assert row is not None
        return int(row[0])

    counts = []
    for number in range(4):
        answers.once(replace(ATTEMPT, token=f"new-{number}"), DAY, answering(""))
        counts.append(left())
    assert counts == [8, 5, 4, 5]
    assert answers.once(replace(ATTEMPT, token="alive"), DAY, never) == "alive"


def test_one_connection_is_enough(database_url: str) -> None:
    """What is asked of the store while an answer is made joins its connection: with a pool of one, nothing waits."""
    with open_pool(database_url, connections_max=1, timeout_s=1) as pool:
        store, users = PostgresStore(pool), PostgresUserStore(pool)
        album = store.create_collection(ACTOR, OWNER, "album", "128.1")

        def answer() -> str:
            users.create_user(ACTOR, store.get_collection(OWNER, "album"), "ann")
            return users.list_users(album, after=None, limit=9).items[0].user_id

        assert PostgresAnswerStore(pool).once(ATTEMPT, DAY, answer) == "ann"
