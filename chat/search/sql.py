"""The SQL of the search index: functions that divide texts into words, and triggers that keep the index.

Migrations run these statements. What changes here needs a migration that runs them again, and an index made anew
(`manage.py index_messages --again`).

`chat_messagewords` has a row for each message that can be found, `chat_conversationwords` one for each conversation.
Triggers write them, so that no statement anywhere can forget it: an edit, a deletion, moderation and erasure change the
index in their own transaction. Checkpoints of an answer in progress do not touch it; the answer is indexed as it ends.

The words of messages carry a key before them: six hexadecimal digits of the conversation's `home`, a user. A search
asks for the keys of the searcher's own conversations alone, so it costs what they contain, however much others wrote.
The key only saves time. Who may read what is decided by `chat_member`.
"""

from __future__ import annotations

from typing import Final

from chat.search.folding import INDEXED_CHARS, LONGEST_WORD, LOWER, MARKS, SEPARATORS, SEVERAL, UNSPACED, UPPER

KEY_CHARS: Final = 6


def _several(inner: str) -> str:
    for one, letters in SEVERAL:
        inner = f"replace({inner}, '{one}', '{letters}')"
    return inner


_BARE: Final = _several(
    f"translate(normalize(regexp_replace(normalize(t, NFKD), '[{MARKS}]', '', 'g'), NFKC), '{UPPER}', '{LOWER}')"
)

FUNCTIONS: Final = f"""
CREATE OR REPLACE FUNCTION chat_search_fold(t text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $body$
    SELECT lower((CASE WHEN octet_length(t) = length(t) THEN t
        ELSE regexp_replace({_BARE}, '([{UNSPACED}]+)', ' \\1 ', 'g') END) COLLATE "C")
$body$;

CREATE OR REPLACE FUNCTION chat_search_words(t text, key text) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $body$
DECLARE
    folded text := chat_search_fold(left(t, {INDEXED_CHARS}));
    found text[];
    pairs text[];
BEGIN
    SELECT array_agg(DISTINCT key || left(part, {LONGEST_WORD})) INTO found
        FROM regexp_split_to_table(folded, '[{SEPARATORS}]+') part WHERE part <> '' AND part !~ '^[{UNSPACED}]';
    IF octet_length(folded) > length(folded) THEN
        SELECT array_agg(DISTINCT key || pair) INTO pairs FROM (
            SELECT letter || coalesce(lead(letter) OVER (PARTITION BY run ORDER BY place), '') AS pair
            FROM regexp_split_to_table(folded, '[{SEPARATORS}]+') WITH ORDINALITY AS parts(part, run),
                unnest(string_to_array(part, NULL)) WITH ORDINALITY AS letters(letter, place)
            WHERE part ~ '^[{UNSPACED}]'
        ) each_pair;
    END IF;
    RETURN array_to_tsvector(coalesce(found, '{{}}') || coalesce(pairs, '{{}}'));
END $body$;

-- A conversation's key. Its home is the member who was there first when it was first asked for, and stays the same.
CREATE OR REPLACE FUNCTION chat_search_key(conversation uuid, author uuid) RETURNS text LANGUAGE plpgsql AS $body$
DECLARE
    known uuid;
BEGIN
    SELECT home INTO known FROM chat_conversationwords WHERE conversation_id = conversation;
    IF known IS NULL THEN
        INSERT INTO chat_conversationwords (conversation_id, home, words) VALUES (conversation, coalesce(
            (SELECT user_id FROM chat_member WHERE conversation_id = conversation ORDER BY joined_at, id LIMIT 1),
            author, conversation), '')
        ON CONFLICT (conversation_id) DO UPDATE SET home = coalesce(chat_conversationwords.home, EXCLUDED.home)
        RETURNING home INTO known;
    END IF;
    RETURN right(known::text, {KEY_CHARS});
END $body$;

CREATE OR REPLACE FUNCTION chat_index_message(m chat_message) RETURNS void LANGUAGE plpgsql AS $body$
BEGIN
    IF m.text = '' OR m.deleted_at IS NOT NULL OR m.moderation->>'action' IN ('hold', 'block', 'withdrawn') THEN
        DELETE FROM chat_messagewords WHERE message_id = m.id;
        RETURN;
    END IF;
    INSERT INTO chat_messagewords (message_id, conversation_id, written_at, words)
    VALUES (m.id, m.conversation_id, m.created_at,
        chat_search_words(m.text, chat_search_key(m.conversation_id, m.author_id)))
    ON CONFLICT (message_id) DO UPDATE SET words = EXCLUDED.words, written_at = EXCLUDED.written_at;
END $body$;

CREATE OR REPLACE FUNCTION chat_message_words() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    PERFORM chat_index_message(NEW);
    RETURN NULL;
END $body$;

CREATE OR REPLACE FUNCTION chat_conversation_words() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    INSERT INTO chat_conversationwords (conversation_id, words) VALUES (NEW.id, chat_search_words(NEW.title, ''))
    ON CONFLICT (conversation_id) DO UPDATE SET words = EXCLUDED.words;
    RETURN NULL;
END $body$;
"""  # noqa: S608  # parts of statements, no values

# The conditions are evaluated without a call. A condition on OLD is for updates only.
TRIGGERS: Final = """
DROP TRIGGER IF EXISTS chat_message_indexed ON chat_message;
CREATE TRIGGER chat_message_indexed AFTER INSERT ON chat_message FOR EACH ROW
    WHEN (NEW.text <> '' AND NEW.status NOT IN ('pending', 'streaming')) EXECUTE FUNCTION chat_message_words();
DROP TRIGGER IF EXISTS chat_message_indexed_again ON chat_message;
CREATE TRIGGER chat_message_indexed_again AFTER UPDATE OF text, status, moderation, deleted_at ON chat_message
    FOR EACH ROW WHEN (NEW.status NOT IN ('pending', 'streaming') AND (
        OLD.status IN ('pending', 'streaming') OR OLD.text <> NEW.text
        OR OLD.deleted_at IS DISTINCT FROM NEW.deleted_at OR OLD.moderation <> NEW.moderation
    )) EXECUTE FUNCTION chat_message_words();
DROP TRIGGER IF EXISTS chat_conversation_indexed ON chat_conversation;
CREATE TRIGGER chat_conversation_indexed AFTER INSERT ON chat_conversation FOR EACH ROW
    EXECUTE FUNCTION chat_conversation_words();
DROP TRIGGER IF EXISTS chat_conversation_indexed_again ON chat_conversation;
CREATE TRIGGER chat_conversation_indexed_again AFTER UPDATE OF title ON chat_conversation FOR EACH ROW
    WHEN (OLD.title <> NEW.title) EXECUTE FUNCTION chat_conversation_words();
"""

REMOVE: Final = """
DROP TRIGGER IF EXISTS chat_message_indexed ON chat_message;
DROP TRIGGER IF EXISTS chat_message_indexed_again ON chat_message;
DROP TRIGGER IF EXISTS chat_conversation_indexed ON chat_conversation;
DROP TRIGGER IF EXISTS chat_conversation_indexed_again ON chat_conversation;
DROP FUNCTION IF EXISTS chat_message_words(), chat_conversation_words(), chat_index_message(chat_message),
    chat_search_key(uuid, uuid), chat_search_words(text, text), chat_search_fold(text);
DROP TABLE IF EXISTS chat_messagewords, chat_conversationwords;
"""

TABLES: Final = """
CREATE TABLE IF NOT EXISTS chat_conversationwords (
    conversation_id uuid PRIMARY KEY REFERENCES chat_conversation (id) ON DELETE CASCADE,
    home uuid NULL,
    words tsvector NOT NULL
);
CREATE TABLE IF NOT EXISTS chat_messagewords (
    message_id uuid PRIMARY KEY REFERENCES chat_message (id) ON DELETE CASCADE,
    conversation_id uuid NOT NULL,
    written_at timestamp with time zone NOT NULL,
    words tsvector NOT NULL
);
CREATE INDEX IF NOT EXISTS message_words ON chat_messagewords USING gin (words);
CREATE INDEX IF NOT EXISTS message_words_by_time ON chat_messagewords (conversation_id, written_at);
"""

# Messages after `after` that are not indexed, in the order of their ids; the last id of the batch.
FILL: Final = """
WITH batch AS (
    SELECT m FROM chat_message m WHERE m.id > %s ORDER BY m.id LIMIT %s
), indexed AS (
    SELECT chat_index_message(m) FROM batch
    WHERE (m).status NOT IN ('pending', 'streaming') AND (m).text <> ''
        AND (%s OR NOT EXISTS (SELECT FROM chat_messagewords w WHERE w.message_id = (m).id))
)
SELECT (SELECT max((m).id::text) FROM batch), (SELECT count(*) FROM batch), (SELECT count(*) FROM indexed)
"""
FILL_TITLES: Final = """
INSERT INTO chat_conversationwords (conversation_id, words)
SELECT c.id, chat_search_words(c.title, '') FROM chat_conversation c
ON CONFLICT (conversation_id) DO UPDATE SET words = EXCLUDED.words
"""
