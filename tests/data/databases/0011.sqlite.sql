CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0011');
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
INSERT INTO "attachments" VALUES(1,4,'face-7.png','image/png','A computer-made face, seed 7: a person who does not exist.',0,X'89504E470D0A1A0A0000000D4948445200000002000000020802000000FDD49A730000001649444154789C63FCCFC0C0C0C0C0C4C0C0C0C0C000000D1D01036AC29BE90000000049454E44AE426082');
CREATE TABLE audit (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	created DATETIME NOT NULL, 
	platform TEXT NOT NULL, 
	server TEXT NOT NULL, 
	channel TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	actor_name TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	what TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	subject_name TEXT NOT NULL, 
	"before" JSON, 
	"after" JSON, 
	reason TEXT NOT NULL
, times INTEGER DEFAULT '1' NOT NULL);
INSERT INTO "audit" VALUES(1,'2026-11-30 12:47:33.847061','terminal','','terminal','operator','root','setting','ask.system_prompt','','','null','"You are a friendly teacher."','',1);
INSERT INTO "audit" VALUES(2,'2026-11-30 12:47:58.393663','terminal','','terminal','operator','root','moderation','lesson add','','Cells','null','{"version": 1, "file": "Cells.md"}','',1);
INSERT INTO "audit" VALUES(3,'2026-11-30 12:48:51.896358','web','web','','0123456789abcdef','Ann','moderation','timeout','5eb2a6e1b40c7d20','Bo','null','{"until": "2126-11-06T12:48:51.837141+00:00", "reason": "shouting"}','',1);
INSERT INTO "audit" VALUES(4,'2026-11-30 12:48:52.045197','web','web','','0123456789abcdef','Ann','moderation','sign in','','','null','null','',1);
CREATE TABLE changes (
	kind TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	removed INTEGER NOT NULL, 
	CONSTRAINT pk_changes PRIMARY KEY (kind)
);
INSERT INTO "changes" VALUES('defaults',1,0);
INSERT INTO "changes" VALUES('settings',1,0);
CREATE TABLE counts (
	platform TEXT NOT NULL, 
	server TEXT NOT NULL, 
	day TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	command TEXT NOT NULL, 
	value TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	CONSTRAINT pk_counts PRIMARY KEY (platform, server, day, kind, command, value)
);
INSERT INTO "counts" VALUES('terminal','','2026-11-30','use','ask','done',1);
INSERT INTO "counts" VALUES('terminal','','2026-11-30','wait','ask','20',1);
INSERT INTO "counts" VALUES('terminal','','2026-11-30','use','face','done',1);
INSERT INTO "counts" VALUES('terminal','','2026-11-30','wait','face','2',1);
INSERT INTO "counts" VALUES('terminal','','2026-11-30','use','defaults set','done',1);
INSERT INTO "counts" VALUES('terminal','','2026-11-30','wait','defaults set','1',1);
INSERT INTO "counts" VALUES('terminal','','2026-11-30','use','config set','done',1);
INSERT INTO "counts" VALUES('terminal','','2026-11-30','wait','config set','1',1);
INSERT INTO "counts" VALUES('terminal','','2026-11-30','use','lesson add','done',1);
INSERT INTO "counts" VALUES('terminal','','2026-11-30','wait','lesson add','20',1);
INSERT INTO "counts" VALUES('terminal','','2026-11-30','use','explain','done',1);
INSERT INTO "counts" VALUES('terminal','','2026-11-30','wait','explain','30',1);
INSERT INTO "counts" VALUES('terminal','','2026-11-30','vote','ask','up',1);
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
, source INTEGER);
INSERT INTO "messages" VALUES(1,'terminal','','terminal','','',NULL,'operator','root','user','What is the capital of France?','ask','{"prompt": "What is the capital of France?", "temperature": 0.0, "max_tokens": 24, "seed": 7, "min_p": 0.05}',NULL,'{}','[]',0,'done','','{"alone": true}','2026-11-30 12:46:39.469095',NULL);
INSERT INTO "messages" VALUES(2,'terminal','','terminal','','',1,'operator','root','assistant','The capital of France is Paris.','ask','{"prompt": "What is the capital of France?", "temperature": 0.0, "max_tokens": 24, "seed": 7, "min_p": 0.05}',7,'{"model": "qwen2.5-coder-1.5b-instruct", "temperature": "0", "seed": "7", "tokens": "8", "seconds": "9.3"}','[]',0,'done','a00d8ca31fd0efb7','{"alone": true}','2026-11-30 12:46:39.469095',NULL);
INSERT INTO "messages" VALUES(3,'terminal','','terminal','','',NULL,'operator','root','user','','face','{"seed": 7, "count": 1, "truncation": 0.6}',NULL,'{}','[]',0,'done','','{"alone": true}','2026-11-30 12:47:08.560611',NULL);
INSERT INTO "messages" VALUES(4,'terminal','','terminal','','',3,'operator','root','assistant','','face','{"seed": 7, "count": 1, "truncation": 0.6}',7,'{"model": "digiface-dcgan", "seed": "7", "count": "1", "truncation": "0.6", "seconds": "0.96"}','[]',0,'done','9c30f1db54422046','{"alone": true}','2026-11-30 12:47:08.560611',NULL);
INSERT INTO "messages" VALUES(5,'terminal','','terminal','','',NULL,'operator','root','user','ask.temperature','defaults set','{"option": "ask.temperature", "value": "0.3"}',NULL,'{}','[]',1,'done','','{"alone": true}','2026-11-30 12:47:21.216746',NULL);
INSERT INTO "messages" VALUES(6,'terminal','','terminal','','',5,'operator','root','assistant','`ask.temperature` is 0.3 for you from now on.','defaults set','{"option": "ask.temperature", "value": "0.3"}',NULL,'{}','[]',1,'done','361f05e85c04bb10','{"alone": true}','2026-11-30 12:47:21.216746',NULL);
INSERT INTO "messages" VALUES(7,'terminal','','terminal','','',NULL,'operator','root','user','ask.system_prompt You are a friendly teacher.','config set','{"setting": "ask.system_prompt You are a friendly teacher.", "value": null, "channel": null, "role": null, "server": null}',NULL,'{}','[]',1,'done','','{"alone": true}','2026-11-30 12:47:33.267898',NULL);
INSERT INTO "messages" VALUES(8,'terminal','','terminal','','',7,'operator','root','assistant','`ask.system_prompt` (here): You are Tempera, a friendly assistant in a chat room.… → You are a friendly teacher.','config set','{"setting": "ask.system_prompt You are a friendly teacher.", "value": null, "channel": null, "role": null, "server": null}',NULL,'{}','[]',1,'done','3bcc5c1fd2223698','{"alone": true}','2026-11-30 12:47:33.267898',NULL);
INSERT INTO "messages" VALUES(9,'terminal','','terminal','','',NULL,'operator','root','user','Cells','lesson add','{"title": "Cells", "file": null, "text": "# Cells\n\n## The parts of a cell\n\nThe powerhouse of a cell is the mitochondrion. It makes the energy that all other parts need.", "server": null}',NULL,'{}','[]',1,'done','','{"alone": true}','2026-11-30 12:47:45.622893',NULL);
INSERT INTO "messages" VALUES(10,'terminal','','terminal','','',9,'operator','root','assistant','“Cells” is version 1 now (passages: 1). Its topics:

- The parts of a cell','lesson add','{"title": "Cells", "file": null, "text": "# Cells\n\n## The parts of a cell\n\nThe powerhouse of a cell is the mitochondrion. It makes the energy that all other parts need.", "server": null}',NULL,'{}','[]',1,'done','f5bb7ac798156e78','{"alone": true}','2026-11-30 12:47:45.622893',NULL);
INSERT INTO "messages" VALUES(11,'terminal','','terminal','','',NULL,'operator','root','user','what is the powerhouse of a cell','explain','{"question": "what is the powerhouse of a cell", "style": "quote"}',NULL,'{}','[]',0,'done','','{"alone": true}','2026-11-30 12:48:12.772919',NULL);
INSERT INTO "messages" VALUES(12,'terminal','','terminal','','',11,'operator','root','assistant','The powerhouse of a cell is the mitochondrion. It makes the energy that all other parts need.

— Cells › The parts of a cell','explain','{"question": "what is the powerhouse of a cell", "style": "quote"}',NULL,'{}','[{"label": "Source", "command": "explain-source", "options": {"question": "what is the powerhouse of a cell", "lesson": "Cells", "anchor": "the-parts-of-a-cell", "part": 0}, "id": "", "turns": false, "title": "", "picture": 0, "aside": false}, {"label": "Simpler", "command": "explain-simpler", "options": {"question": "what is the powerhouse of a cell", "lesson": "Cells", "anchor": "the-parts-of-a-cell", "part": 0}, "id": "", "turns": false, "title": "", "picture": 0, "aside": false}, {"label": "That did not help", "command": "explain-missed", "options": {"question": "what is the powerhouse of a cell", "lesson": "Cells", "anchor": "the-parts-of-a-cell", "part": 0}, "id": "", "turns": false, "title": "", "picture": 0, "aside": true}]',0,'done','b0f21d50f4c456ef','{"alone": true}','2026-11-30 12:48:12.772919',NULL);
CREATE TABLE plugin_blobs (
	plugin TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	data BLOB NOT NULL, 
	CONSTRAINT pk_plugin_blobs PRIMARY KEY (plugin, scope, "key")
);
INSERT INTO "plugin_blobs" VALUES('explain','lessons:terminal','f54bb9178df2620ef375efacf33065de9b3c8dbe153a26f2cecbe1dcc1145f1f',X'232043656C6C730A0A232320546865207061727473206F6620612063656C6C0A0A54686520706F776572686F757365206F6620612063656C6C20697320746865206D69746F63686F6E6472696F6E2E204974206D616B65732074686520656E65726779207468617420616C6C206F74686572207061727473206E6565642E');
INSERT INTO "plugin_blobs" VALUES('explain','vectors','d7e241b12b5c40a49dd4e482c0af43e61ea8f2704ab1ae1d30043707253fa708',X'54A8002C1FA7E32940A4B9A61F9005A2142B109938A8ABACA0A5D5A92F19F5A867227E2A3EB09FA13329091D032A83A6962B9A0ED9A7452A1F24C1AB869FCC14E8258A2BE2283F2E1E24EE264825089CDFA864942629BE2DE0AC4B20852A19AD19A464A899241BA9A8AA312E292B7F315925AAA8B79877921FA9E724A1A3FAA03E2ADFAC51279C2792AF9120762E3DAC38A45E26EFA789A1B2A311ABB02F772DA7A4982A6E21D029E39DD81E04287E22729DE1240CAB4AA9DC23AD28D8223728762CC2AA042C0EABA698B92B5A2E3828110A50AB35A86030522A19242B299AA6AB9987260A1DC79A752C6AA8C5906E2B4A26341453A39D2CBFAC92A70BA90080FAAA6CA88F2C922AC3A7F8A7B0AAA8ACCA26B4A046ACF4285526A72B49A82CA7C4A916A59C2701ABA3A2C12CD328EBA88F2660ACE82A0FA4FAA6A2A212A79FAB1AA8B6A763A157A4200510A656AAD5AACDA644A4742144A76924409FCF22A5997FA4FBA1C728CA98032F2DAD5DA74D2434A31D2BE0A120290FA427A0F128FE2D4E2ED02A9EAF1EA7D4AA0F2650A74DAD45304720192BF82AB6A2481D63B1082791A4D8AA37A8B91E2BA8A11E2F9C31AA60279F1AB92347AA939B5AA839AA0000882876A7F6A9CAACED2C292578AD06B136AD642DD1A47BA434AF93AE6DAC0E263C255BA81225402804AA1F2CFC991A276324FD2811AE30AA582BBFA3CFA946AE8A24941B7BAC8A99642669AB812CD9A6612839219B29CE2B062435AC9BA28622ADABEE9BA72984AB0FA9ABA6FD2639270528FF23213088AD63AC2CAE2A2B3C2DE2AADE2924A829293125511E971F4C2EFC9E1FA8DB24682A872571AB331A38A93328A4A4B8A87FAF472A1FA9561E3F1C67A2E0AB4B2AB4AD93AC9B2B2D250080EB2E602B831F18AE32262EAA012DA92CB42E2E2D932B4D240C285C28522CB22ACAA6CC9DE4A888ACB4AAA89E16A9062E4524DBA47EAB359DF294B0A0AD2DC09C811F5BA3959FCB2A901E57AC12961327649C75A926A6AE2975A930A156A953A71CA4E92B57A2FD240DA6ACAC57AC0295CBAB76A380A45FA9DF2FE02EF02E5E26');
CREATE TABLE plugin_data (
	plugin TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	value JSON NOT NULL, change_number INTEGER DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_plugin_data PRIMARY KEY (plugin, scope, "key")
);
INSERT INTO "plugin_data" VALUES('defaults','','terminal:operator','{"ask.temperature": 0.3}',1);
INSERT INTO "plugin_data" VALUES('explain','lessons:terminal','cells','{"title": "Cells", "versions": [{"number": 1, "filename": "Cells.md", "size": 126, "digest": "f54bb9178df2620ef375efacf33065de9b3c8dbe153a26f2cecbe1dcc1145f1f", "added": "2026-11-30T12:47:58.188024+00:00"}]}',0);
INSERT INTO "plugin_data" VALUES('explain','servers','terminal','true',0);
INSERT INTO "plugin_data" VALUES('web chat','moderators','0123456789abcdef','{"name": "Ann", "since": 1796042932.0271535, "used": 1796042932.0271537}',0);
CREATE TABLE settings (
	platform TEXT NOT NULL, 
	server TEXT NOT NULL, 
	channel TEXT NOT NULL, 
	role TEXT NOT NULL, 
	name TEXT NOT NULL, 
	value JSON NOT NULL, 
	actor TEXT NOT NULL, 
	actor_name TEXT NOT NULL, 
	changed DATETIME NOT NULL, change_number INTEGER DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_settings PRIMARY KEY (platform, server, channel, role, name)
);
INSERT INTO "settings" VALUES('terminal','','terminal','','ask.system_prompt','"You are a friendly teacher."','operator','root','2026-11-30 12:47:33.813496',1);
CREATE TABLE timeouts (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	platform TEXT NOT NULL, 
	server TEXT NOT NULL, 
	person TEXT NOT NULL, 
	user TEXT NOT NULL, 
	name TEXT NOT NULL, 
	until DATETIME NOT NULL, 
	reason TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	actor_name TEXT NOT NULL, 
	created DATETIME NOT NULL
);
INSERT INTO "timeouts" VALUES(1,'web','web','14cc47d8bb20f10ea0938c57874a59fe11e4e62b6feec91541a0ef355822589a','5eb2a6e1b40c7d20','Bo','2126-11-06 12:48:51.837141','shouting','0123456789abcdef','Ann','2026-11-30 12:48:51.894017');
CREATE TABLE tokens (
	message INTEGER NOT NULL, 
	data BLOB NOT NULL, 
	CONSTRAINT pk_tokens PRIMARY KEY (message), 
	CONSTRAINT fk_tokens_message FOREIGN KEY(message) REFERENCES messages (id) ON DELETE CASCADE
);
INSERT INTO "tokens" VALUES(2,X'789C55923D4EC4301085AF1252A15558F937F6D44854141434289B22CA66B59190834228B8041D15C7008902719C45E21678C67612BAF9DED86F663CAEAAFCF6D8E5C5859245B5C47551E537CDD83F7A92926BE4ABB1712DA64BA9390A771DA62D0340BA1EDC7E70280801758D52D6360FFDD4DC7B91A3FB9A297F39B30551862BFDF44CAC20F0F0E4A61125AF28941613D0BED3506938A029CD90E2B59D92D18E260229C8296BDC1ED1324B788EF7B8B53C9AA68919D9CEF4EF318069190F77AE3D92033764FFF3FE7A7AFB0E4A683D3BA46B9C4B30B10CF6144A50845AE18F1863F4D2162B995CF5CC0553F4865B0230C92C6DAD24C3993077FAFCF8FD7AF1A48D80F5868D60611F13ADDF7A3BC2CD260C28823795D2E81BA2D4A8B28A9ADEEEDC0E3F80F60F1A9908A8FA191652F435EA3FFBFCA646');
CREATE TABLE votes (
	message INTEGER NOT NULL, 
	user TEXT NOT NULL, 
	value INTEGER NOT NULL, 
	CONSTRAINT pk_votes PRIMARY KEY (message, user), 
	CONSTRAINT fk_votes_message FOREIGN KEY(message) REFERENCES messages (id) ON DELETE CASCADE
);
INSERT INTO "votes" VALUES(2,'eve',1);
CREATE INDEX ix_messages_place ON messages (platform, server, channel, thread, id);
CREATE INDEX ix_messages_external ON messages (platform, channel, external);
CREATE INDEX ix_messages_state ON messages (state);
CREATE INDEX ix_messages_parent ON messages (parent);
CREATE INDEX ix_messages_created ON messages (created);
CREATE INDEX ix_attachments_message ON attachments (message);
CREATE INDEX ix_events_created ON events (created);
CREATE INDEX ix_deliveries_message ON deliveries (message);
CREATE INDEX ix_audit_server ON audit (platform, server, id);
CREATE INDEX ix_audit_created ON audit (created);
CREATE INDEX ix_timeouts_person ON timeouts (person);
CREATE INDEX ix_messages_source ON messages (source);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('messages',12);
INSERT INTO "sqlite_sequence" VALUES('audit',4);
INSERT INTO "sqlite_sequence" VALUES('timeouts',1);
