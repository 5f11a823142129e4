SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.attachments (
    id integer NOT NULL,
    message integer NOT NULL,
    filename text NOT NULL,
    media_type text NOT NULL,
    alt text NOT NULL,
    spoiler boolean NOT NULL,
    data bytea NOT NULL
);
CREATE SEQUENCE public.attachments_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.attachments_id_seq OWNED BY public.attachments.id;
CREATE TABLE public.audit (
    id integer NOT NULL,
    created timestamp with time zone NOT NULL,
    platform text NOT NULL,
    server text NOT NULL,
    channel text NOT NULL,
    actor text NOT NULL,
    actor_name text NOT NULL,
    kind text NOT NULL,
    what text NOT NULL,
    subject text NOT NULL,
    subject_name text NOT NULL,
    before json,
    after json,
    reason text NOT NULL
);
CREATE SEQUENCE public.audit_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.audit_id_seq OWNED BY public.audit.id;
CREATE TABLE public.counts (
    platform text NOT NULL,
    server text NOT NULL,
    day text NOT NULL,
    kind text NOT NULL,
    command text NOT NULL,
    value text NOT NULL,
    number integer NOT NULL
);
CREATE TABLE public.deliveries (
    platform text NOT NULL,
    channel text NOT NULL,
    external text NOT NULL,
    message integer NOT NULL,
    part integer NOT NULL
);
CREATE TABLE public.events (
    platform text NOT NULL,
    id text NOT NULL,
    created timestamp with time zone NOT NULL
);
CREATE TABLE public.instances (
    id text NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    started double precision NOT NULL,
    seen timestamp with time zone NOT NULL
);
CREATE TABLE public.messages (
    id integer NOT NULL,
    platform text NOT NULL,
    server text NOT NULL,
    channel text NOT NULL,
    thread text NOT NULL,
    external text NOT NULL,
    parent integer,
    author text NOT NULL,
    author_name text NOT NULL,
    role text NOT NULL,
    text text NOT NULL,
    command text NOT NULL,
    options json NOT NULL,
    seed integer,
    card json NOT NULL,
    buttons json NOT NULL,
    private boolean NOT NULL,
    state text NOT NULL,
    instance text NOT NULL,
    resume json NOT NULL,
    created timestamp with time zone NOT NULL,
    source integer
);
CREATE SEQUENCE public.messages_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.messages_id_seq OWNED BY public.messages.id;
CREATE TABLE public.plugin_blobs (
    plugin text NOT NULL,
    scope text NOT NULL,
    key text NOT NULL,
    data bytea NOT NULL
);
CREATE TABLE public.plugin_data (
    plugin text NOT NULL,
    scope text NOT NULL,
    key text NOT NULL,
    value json NOT NULL
);
CREATE TABLE public.settings (
    platform text NOT NULL,
    server text NOT NULL,
    channel text NOT NULL,
    role text NOT NULL,
    name text NOT NULL,
    value json NOT NULL,
    actor text NOT NULL,
    actor_name text NOT NULL,
    changed timestamp with time zone NOT NULL
);
CREATE TABLE public.timeouts (
    id integer NOT NULL,
    platform text NOT NULL,
    server text NOT NULL,
    person text NOT NULL,
    "user" text NOT NULL,
    name text NOT NULL,
    until timestamp with time zone NOT NULL,
    reason text NOT NULL,
    actor text NOT NULL,
    actor_name text NOT NULL,
    created timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.timeouts_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.timeouts_id_seq OWNED BY public.timeouts.id;
CREATE TABLE public.tokens (
    message integer NOT NULL,
    data bytea NOT NULL
);
CREATE TABLE public.votes (
    message integer NOT NULL,
    "user" text NOT NULL,
    value integer NOT NULL
);
ALTER TABLE ONLY public.attachments ALTER COLUMN id SET DEFAULT nextval('public.attachments_id_seq'::regclass);
ALTER TABLE ONLY public.audit ALTER COLUMN id SET DEFAULT nextval('public.audit_id_seq'::regclass);
ALTER TABLE ONLY public.messages ALTER COLUMN id SET DEFAULT nextval('public.messages_id_seq'::regclass);
ALTER TABLE ONLY public.timeouts ALTER COLUMN id SET DEFAULT nextval('public.timeouts_id_seq'::regclass);
INSERT INTO public.alembic_version VALUES ('0008');
INSERT INTO public.attachments VALUES (1, 4, 'face-7.png', 'image/png', 'A computer-made face, seed 7: a person who does not exist.', false, '\x89504e470d0a1a0a0000000d4948445200000002000000020802000000fdd49a730000001649444154789c63fccfc0c0c0c0c0c4c0c0c0c0c000000d1d01036ac29be90000000049454e44ae426082');
INSERT INTO public.audit VALUES (1, '2026-11-30 13:03:27.638802+00', 'terminal', '', 'terminal', 'operator', 'root', 'setting', 'ask.system_prompt', '', '', 'null', '"You are a friendly teacher."', '');
INSERT INTO public.audit VALUES (2, '2026-11-30 13:03:49.447556+00', 'terminal', '', 'terminal', 'operator', 'root', 'moderation', 'lesson add', '', 'Cells', 'null', '{"version": 1, "file": "Cells.md"}', '');
INSERT INTO public.audit VALUES (3, '2026-11-30 13:04:51.694301+00', 'web', 'web', '', '0123456789abcdef', 'Ann', 'moderation', 'timeout', '5eb2a6e1b40c7d20', 'Bo', 'null', '{"until": "2126-11-06T13:04:51.645715+00:00", "reason": "shouting"}', '');
INSERT INTO public.counts VALUES ('terminal', '', '2026-11-30', 'use', 'ask', 'done', 1);
INSERT INTO public.counts VALUES ('terminal', '', '2026-11-30', 'wait', 'ask', '30', 1);
INSERT INTO public.counts VALUES ('terminal', '', '2026-11-30', 'use', 'face', 'done', 1);
INSERT INTO public.counts VALUES ('terminal', '', '2026-11-30', 'wait', 'face', '1', 1);
INSERT INTO public.counts VALUES ('terminal', '', '2026-11-30', 'use', 'defaults set', 'done', 1);
INSERT INTO public.counts VALUES ('terminal', '', '2026-11-30', 'wait', 'defaults set', '2', 1);
INSERT INTO public.counts VALUES ('terminal', '', '2026-11-30', 'use', 'config set', 'done', 1);
INSERT INTO public.counts VALUES ('terminal', '', '2026-11-30', 'wait', 'config set', '1', 1);
INSERT INTO public.counts VALUES ('terminal', '', '2026-11-30', 'use', 'lesson add', 'done', 1);
INSERT INTO public.counts VALUES ('terminal', '', '2026-11-30', 'wait', 'lesson add', '13', 1);
INSERT INTO public.counts VALUES ('terminal', '', '2026-11-30', 'use', 'explain', 'done', 1);
INSERT INTO public.counts VALUES ('terminal', '', '2026-11-30', 'wait', 'explain', '30', 1);
INSERT INTO public.counts VALUES ('terminal', '', '2026-11-30', 'vote', 'ask', 'up', 1);
INSERT INTO public.messages VALUES (1, 'terminal', '', 'terminal', '', '', NULL, 'operator', 'root', 'user', 'What is the capital of France?', 'ask', '{"prompt": "What is the capital of France?", "temperature": 0.0, "max_tokens": 24, "seed": 7}', NULL, '{}', '[]', false, 'done', '', '{}', '2026-11-30 13:02:08.114472+00', NULL);
INSERT INTO public.messages VALUES (2, 'terminal', '', 'terminal', '', '', 1, 'operator', 'root', 'assistant', 'The capital of France is Paris.', 'ask', '{"prompt": "What is the capital of France?", "temperature": 0.0, "max_tokens": 24, "seed": 7}', 7, '{"model": "qwen2.5-coder-1.5b-instruct", "temperature": "0", "seed": "7", "tokens": "8", "seconds": "17.6"}', '[]', false, 'done', '302162561a1e9d38', '{}', '2026-11-30 13:02:08.114472+00', NULL);
INSERT INTO public.messages VALUES (3, 'terminal', '', 'terminal', '', '', NULL, 'operator', 'root', 'user', '', 'face', '{"seed": 7, "count": 1, "truncation": 1.0}', NULL, '{}', '[]', false, 'done', '', '{}', '2026-11-30 13:02:44.995937+00', NULL);
INSERT INTO public.messages VALUES (4, 'terminal', '', 'terminal', '', '', 3, 'operator', 'root', 'assistant', '', 'face', '{"seed": 7, "count": 1, "truncation": 1.0}', 7, '{"model": "digiface-dcgan", "seed": "7", "count": "1", "truncation": "1", "seconds": "0.42"}', '[]', false, 'done', 'a3e8c07fcefd789d', '{}', '2026-11-30 13:02:44.995937+00', NULL);
INSERT INTO public.messages VALUES (5, 'terminal', '', 'terminal', '', '', NULL, 'operator', 'root', 'user', 'ask.temperature', 'defaults set', '{"option": "ask.temperature", "value": "0.3"}', NULL, '{}', '[]', true, 'done', '', '{}', '2026-11-30 13:03:05.891787+00', NULL);
INSERT INTO public.messages VALUES (6, 'terminal', '', 'terminal', '', '', 5, 'operator', 'root', 'assistant', '`ask.temperature` is 0.3 for you from now on.', 'defaults set', '{"option": "ask.temperature", "value": "0.3"}', NULL, '{}', '[]', true, 'done', 'fd2492b6c7027d28', '{}', '2026-11-30 13:03:05.891787+00', NULL);
INSERT INTO public.messages VALUES (7, 'terminal', '', 'terminal', '', '', NULL, 'operator', 'root', 'user', 'ask.system_prompt You are a friendly teacher.', 'config set', '{"setting": "ask.system_prompt You are a friendly teacher.", "value": null, "channel": null, "role": null, "server": null}', NULL, '{}', '[]', true, 'done', '', '{}', '2026-11-30 13:03:27.120584+00', NULL);
INSERT INTO public.messages VALUES (8, 'terminal', '', 'terminal', '', '', 7, 'operator', 'root', 'assistant', '`ask.system_prompt` (here): You are Tempera, a friendly assistant in a chat room.… → You are a friendly teacher.', 'config set', '{"setting": "ask.system_prompt You are a friendly teacher.", "value": null, "channel": null, "role": null, "server": null}', NULL, '{}', '[]', true, 'done', 'ee59ac5e0355561f', '{}', '2026-11-30 13:03:27.120584+00', NULL);
INSERT INTO public.messages VALUES (9, 'terminal', '', 'terminal', '', '', NULL, 'operator', 'root', 'user', 'Cells', 'lesson add', '{"title": "Cells", "file": null, "text": "# Cells\n\n## The parts of a cell\n\nThe powerhouse of a cell is the mitochondrion. It makes the energy that all other parts need.", "server": null}', NULL, '{}', '[]', true, 'done', '', '{}', '2026-11-30 13:03:46.53227+00', NULL);
INSERT INTO public.messages VALUES (10, 'terminal', '', 'terminal', '', '', 9, 'operator', 'root', 'assistant', '“Cells” is version 1 now (passages: 1). Its topics:
- The parts of a cell', 'lesson add', '{"title": "Cells", "file": null, "text": "# Cells\n\n## The parts of a cell\n\nThe powerhouse of a cell is the mitochondrion. It makes the energy that all other parts need.", "server": null}', NULL, '{}', '[]', true, 'done', 'f1dcd30c5d81181a', '{}', '2026-11-30 13:03:46.53227+00', NULL);
INSERT INTO public.messages VALUES (11, 'terminal', '', 'terminal', '', '', NULL, 'operator', 'root', 'user', 'what is the powerhouse of a cell', 'explain', '{"question": "what is the powerhouse of a cell", "style": "quote"}', NULL, '{}', '[]', false, 'done', '', '{}', '2026-11-30 13:04:15.164885+00', NULL);
INSERT INTO public.messages VALUES (12, 'terminal', '', 'terminal', '', '', 11, 'operator', 'root', 'assistant', 'The powerhouse of a cell is the mitochondrion. It makes the energy that all other parts need.
— Cells › The parts of a cell', 'explain', '{"question": "what is the powerhouse of a cell", "style": "quote"}', NULL, '{}', '[{"label": "Source", "command": "explain-source", "options": {"question": "what is the powerhouse of a cell", "lesson": "Cells", "anchor": "the-parts-of-a-cell", "part": 0}, "id": "", "turns": false}, {"label": "Simpler", "command": "explain-simpler", "options": {"question": "what is the powerhouse of a cell", "lesson": "Cells", "anchor": "the-parts-of-a-cell", "part": 0}, "id": "", "turns": false}, {"label": "That did not help", "command": "explain-missed", "options": {"question": "what is the powerhouse of a cell", "lesson": "Cells", "anchor": "the-parts-of-a-cell", "part": 0}, "id": "", "turns": false}]', false, 'done', '5d9c30cf53aab544', '{}', '2026-11-30 13:04:15.164885+00', NULL);
INSERT INTO public.plugin_blobs VALUES ('explain', 'lessons:terminal', 'f54bb9178df2620ef375efacf33065de9b3c8dbe153a26f2cecbe1dcc1145f1f', '\x232043656c6c730a0a232320546865207061727473206f6620612063656c6c0a0a54686520706f776572686f757365206f6620612063656c6c20697320746865206d69746f63686f6e6472696f6e2e204974206d616b65732074686520656e65726779207468617420616c6c206f74686572207061727473206e6565642e');
INSERT INTO public.plugin_data VALUES ('core', '', 'key', '"c68e2cfc0b1c0898c14f1886c4e07caaf7fd9d775c8d5094e12b2c0447819545"');
INSERT INTO public.plugin_data VALUES ('defaults', '', 'terminal:operator', '{"ask.temperature": 0.3}');
INSERT INTO public.plugin_data VALUES ('explain', 'lessons:terminal', 'cells', '{"title": "Cells", "versions": [{"number": 1, "filename": "Cells.md", "size": 126, "digest": "f54bb9178df2620ef375efacf33065de9b3c8dbe153a26f2cecbe1dcc1145f1f", "added": "2026-11-30T13:03:47.764113+00:00"}]}');
INSERT INTO public.plugin_data VALUES ('explain', 'servers', 'terminal', 'true');
INSERT INTO public.plugin_data VALUES ('web chat', 'sign-in links', 'b4c886d474d5c1016b1f6f9308af36b7b37a7b953a2300efbec7c8188556b29f', '0.0');
INSERT INTO public.plugin_data VALUES ('web chat', 'moderators', '0123456789abcdef', '1796043891.9060664');
INSERT INTO public.settings VALUES ('terminal', '', 'terminal', '', 'ask.system_prompt', '"You are a friendly teacher."', 'operator', 'root', '2026-11-30 13:03:27.627066+00');
INSERT INTO public.timeouts VALUES (1, 'web', 'web', '82ec2b94759cd81d02f495a02f1f3c9029a5ff41bc1fbdba6e61e740ccc5b1f7', '5eb2a6e1b40c7d20', 'Bo', '2126-11-06 13:04:51.645715+00', 'shouting', '0123456789abcdef', 'Ann', '2026-11-30 13:04:51.694032+00');
INSERT INTO public.tokens VALUES (2, '\x789c55923d4ec4301085af1252a15558f937f6d44854141434289b22ca66b59190834228b8041d15c7008902719c45e21678c67612baf9ded86f663caeaafcf6d8e5c5859245b5c47551e537cdd83f7a92926be4abb1712da64ba9390a771da62d0340ba1edc7e70280801758d52d6360ffdd4dc7b91a3fb9a297f39b30551862bfdf44cac20f0f0e4a61125af28941613d0bed3506938a029cd90e2b59d92d18e260229c8296bdc1ed1324b788ef7b8b53c9aa68919d9cef4ef318069190f77ae3d92033764fff3fe7a7afb0e4a683d3ba46b9c4b30b10cf6144a50845ae18f1863f4d2162b995cf5cc0553f4865b0230c92c6dad24c3993077fafcf8fd7af1a48d80f5868d60611f13addf7a3bc2cd260c28823795d2e81ba2d4a8b28a9adeeedc0e3f80f60f1a9908a8fa191652f435ea3ffbfca646');
INSERT INTO public.votes VALUES (2, 'eve', 1);
SELECT pg_catalog.setval('public.attachments_id_seq', 1, true);
SELECT pg_catalog.setval('public.audit_id_seq', 3, true);
SELECT pg_catalog.setval('public.messages_id_seq', 12, true);
SELECT pg_catalog.setval('public.timeouts_id_seq', 1, true);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.attachments
    ADD CONSTRAINT pk_attachments PRIMARY KEY (id);
ALTER TABLE ONLY public.audit
    ADD CONSTRAINT pk_audit PRIMARY KEY (id);
ALTER TABLE ONLY public.counts
    ADD CONSTRAINT pk_counts PRIMARY KEY (platform, server, day, kind, command, value);
ALTER TABLE ONLY public.deliveries
    ADD CONSTRAINT pk_deliveries PRIMARY KEY (platform, channel, external);
ALTER TABLE ONLY public.events
    ADD CONSTRAINT pk_events PRIMARY KEY (platform, id);
ALTER TABLE ONLY public.instances
    ADD CONSTRAINT pk_instances PRIMARY KEY (id);
ALTER TABLE ONLY public.messages
    ADD CONSTRAINT pk_messages PRIMARY KEY (id);
ALTER TABLE ONLY public.plugin_blobs
    ADD CONSTRAINT pk_plugin_blobs PRIMARY KEY (plugin, scope, key);
ALTER TABLE ONLY public.plugin_data
    ADD CONSTRAINT pk_plugin_data PRIMARY KEY (plugin, scope, key);
ALTER TABLE ONLY public.settings
    ADD CONSTRAINT pk_settings PRIMARY KEY (platform, server, channel, role, name);
ALTER TABLE ONLY public.timeouts
    ADD CONSTRAINT pk_timeouts PRIMARY KEY (id);
ALTER TABLE ONLY public.tokens
    ADD CONSTRAINT pk_tokens PRIMARY KEY (message);
ALTER TABLE ONLY public.votes
    ADD CONSTRAINT pk_votes PRIMARY KEY (message, "user");
CREATE INDEX ix_attachments_message ON public.attachments USING btree (message);
CREATE INDEX ix_audit_created ON public.audit USING btree (created);
CREATE INDEX ix_audit_server ON public.audit USING btree (platform, server, id);
CREATE INDEX ix_deliveries_message ON public.deliveries USING btree (message);
CREATE INDEX ix_events_created ON public.events USING btree (created);
CREATE INDEX ix_messages_created ON public.messages USING btree (created);
CREATE INDEX ix_messages_external ON public.messages USING btree (platform, channel, external);
CREATE INDEX ix_messages_parent ON public.messages USING btree (parent);
CREATE INDEX ix_messages_place ON public.messages USING btree (platform, server, channel, thread, id);
CREATE INDEX ix_messages_source ON public.messages USING btree (source);
CREATE INDEX ix_messages_state ON public.messages USING btree (state);
CREATE INDEX ix_timeouts_person ON public.timeouts USING btree (person);
ALTER TABLE ONLY public.attachments
    ADD CONSTRAINT fk_attachments_message FOREIGN KEY (message) REFERENCES public.messages(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.deliveries
    ADD CONSTRAINT fk_deliveries_message FOREIGN KEY (message) REFERENCES public.messages(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.tokens
    ADD CONSTRAINT fk_tokens_message FOREIGN KEY (message) REFERENCES public.messages(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.votes
    ADD CONSTRAINT fk_votes_message FOREIGN KEY (message) REFERENCES public.messages(id) ON DELETE CASCADE;
