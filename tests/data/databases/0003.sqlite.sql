CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0003');
CREATE TABLE attachments (
	id INTEGER NOT NULL, 
	message INTEGER NOT NULL, 
	filename TEXT NOT NULL, 
	media_type TEXT NOT NULL, 
	alt TEXT NOT NULL, 
	spoiler BOOLEAN NOT NULL, 
	data BLOB NOT NULL, 
	CONSTRAINT pk_attachments PRIMARY KEY (id), 
	CONSTRAINT fk_attachments_message FOREIGN KEY(message) REFERENCES messages (id) ON DELETE CASCADE
);
INSERT INTO "attachments" VALUES(1,4,'face-7.png','image/png','1 computer-made face(s), seed 7: people who do not exist.',0,X'89504E470D0A1A0A0000000D4948445200000002000000020802000000FDD49A730000001649444154789C63FCCFC0C0C0C0C0C4C0C0C0C0C000000D1D01036AC29BE90000000049454E44AE426082');
CREATE TABLE deliveries (
	platform TEXT NOT NULL, 
	channel TEXT NOT NULL, 
	external TEXT NOT NULL, 
	message INTEGER NOT NULL, 
	part INTEGER NOT NULL, 
	CONSTRAINT pk_deliveries PRIMARY KEY (platform, channel, external), 
	CONSTRAINT fk_deliveries_message FOREIGN KEY(message) REFERENCES messages (id) ON DELETE CASCADE
);
CREATE TABLE events (
	platform TEXT NOT NULL, 
	id TEXT NOT NULL, 
	created DATETIME NOT NULL, 
	CONSTRAINT pk_events PRIMARY KEY (platform, id)
);
CREATE TABLE instances (
	id TEXT NOT NULL, 
	host TEXT NOT NULL, 
	pid INTEGER NOT NULL, 
	started DOUBLE NOT NULL, 
	seen DATETIME NOT NULL, 
	CONSTRAINT pk_instances PRIMARY KEY (id)
);
CREATE TABLE messages (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	platform TEXT NOT NULL, 
	server TEXT NOT NULL, 
	channel TEXT NOT NULL, 
	thread TEXT NOT NULL, 
	external TEXT NOT NULL, 
	parent INTEGER, 
	author TEXT NOT NULL, 
	author_name TEXT NOT NULL, 
	role TEXT NOT NULL, 
	text TEXT NOT NULL, 
	command TEXT NOT NULL, 
	options JSON NOT NULL, 
	seed INTEGER, 
	card JSON NOT NULL, 
	buttons JSON NOT NULL, 
	private BOOLEAN NOT NULL, 
	state TEXT NOT NULL, 
	instance TEXT NOT NULL, 
	resume JSON NOT NULL, 
	created DATETIME NOT NULL
);
INSERT INTO "messages" VALUES(1,'terminal','','terminal','','',NULL,'operator','root','user','What is the capital of France?','ask','{"prompt": "What is the capital of France?", "temperature": 0.0, "max_tokens": 24, "seed": 7}',NULL,'{}','[]',0,'done','','{}','2026-11-30 12:44:12.091680');
INSERT INTO "messages" VALUES(2,'terminal','','terminal','','',1,'operator','root','assistant','The capital of France is Paris.','ask','{"prompt": "What is the capital of France?", "temperature": 0.0, "max_tokens": 24, "seed": 7}',7,'{"model": "qwen2.5-coder-1.5b-instruct", "temperature": "0", "seed": "7", "tokens": "8", "seconds": "4.8"}','[]',0,'done','72fad07a682b817a','{}','2026-11-30 12:44:12.091680');
INSERT INTO "messages" VALUES(3,'terminal','','terminal','','',NULL,'operator','root','user','','face','{"seed": 7, "count": 1, "truncation": 1.0}',NULL,'{}','[]',0,'done','','{}','2026-11-30 12:44:21.743000');
INSERT INTO "messages" VALUES(4,'terminal','','terminal','','',3,'operator','root','assistant','','face','{"seed": 7, "count": 1, "truncation": 1.0}',7,'{"model": "digiface-dcgan", "seed": "7", "count": "1", "truncation": "1", "seconds": "0.36"}','[]',0,'done','b300929337baaacb','{}','2026-11-30 12:44:21.743000');
INSERT INTO "messages" VALUES(5,'terminal','','terminal','','',NULL,'operator','root','user','ask.temperature','defaults set','{"option": "ask.temperature", "value": "0.3"}',NULL,'{}','[]',1,'done','','{}','2026-11-30 12:44:30.139017');
INSERT INTO "messages" VALUES(6,'terminal','','terminal','','',5,'operator','root','assistant','`ask.temperature` is 0.3 for you from now on.','defaults set','{"option": "ask.temperature", "value": "0.3"}',NULL,'{}','[]',1,'done','ccf440236379632a','{}','2026-11-30 12:44:30.139017');
CREATE TABLE plugin_blobs (
	plugin TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	data BLOB NOT NULL, 
	CONSTRAINT pk_plugin_blobs PRIMARY KEY (plugin, scope, "key")
);
CREATE TABLE plugin_data (
	plugin TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	value JSON NOT NULL, 
	CONSTRAINT pk_plugin_data PRIMARY KEY (plugin, scope, "key")
);
INSERT INTO "plugin_data" VALUES('defaults','','terminal:operator','{"ask.temperature": 0.3}');
CREATE TABLE votes (
	message INTEGER NOT NULL, 
	user TEXT NOT NULL, 
	value INTEGER NOT NULL, 
	CONSTRAINT pk_votes PRIMARY KEY (message, user), 
	CONSTRAINT fk_votes_message FOREIGN KEY(message) REFERENCES messages (id) ON DELETE CASCADE
);
INSERT INTO "votes" VALUES(2,'terminal:eve',1);
CREATE INDEX ix_messages_place ON messages (platform, server, channel, thread, id);
CREATE INDEX ix_messages_external ON messages (platform, channel, external);
CREATE INDEX ix_messages_state ON messages (state);
CREATE INDEX ix_messages_parent ON messages (parent);
CREATE INDEX ix_messages_created ON messages (created);
CREATE INDEX ix_attachments_message ON attachments (message);
CREATE INDEX ix_events_created ON events (created);
CREATE INDEX ix_deliveries_message ON deliveries (message);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('messages',6);
