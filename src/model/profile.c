/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening, trusting and changing the file; what is in it is in profile-runs.c and profile-sessions.c. */
#include "model/profile-internal.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

/* The tables, exactly as they stand in the file: one that differs in any way is not opened. */
static const char *const schema[] = {
	"CREATE TABLE profile (id INTEGER PRIMARY KEY CHECK (id = 1), application TEXT, arch TEXT NOT NULL, "
	"length INTEGER NOT NULL, created INTEGER NOT NULL, changed INTEGER NOT NULL, sample_limit INTEGER NOT NULL)",
	"CREATE TABLE run (id INTEGER PRIMARY KEY, date INTEGER NOT NULL, source TEXT NOT NULL, source_hash INTEGER NOT NULL, "
	"sensor TEXT, build_id TEXT, calls INTEGER NOT NULL, sessions INTEGER NOT NULL, gaps INTEGER NOT NULL, "
	"lost INTEGER NOT NULL, counts BLOB NOT NULL)",
	"CREATE TABLE session (hash INTEGER PRIMARY KEY, n INTEGER NOT NULL, symbols BLOB NOT NULL)",
	"CREATE TABLE session_run (hash INTEGER NOT NULL, run INTEGER NOT NULL, time INTEGER NOT NULL, "
	"copies INTEGER NOT NULL, PRIMARY KEY (hash, run)) WITHOUT ROWID",
	"CREATE TABLE calibration (state INTEGER NOT NULL, config INTEGER NOT NULL, value TEXT NOT NULL, "
	"PRIMARY KEY (state, config)) WITHOUT ROWID",
};

const char *const profile_site_schema[PROFILE_SITE_TABLES] = {
	"CREATE TABLE module (id INTEGER PRIMARY KEY, path TEXT NOT NULL, build_id TEXT NOT NULL, UNIQUE (path, build_id))",
	"CREATE TABLE site (run INTEGER NOT NULL, module INTEGER NOT NULL, call INTEGER NOT NULL, offset INTEGER NOT NULL, "
	"count INTEGER NOT NULL, PRIMARY KEY (run, module, call, offset)) WITHOUT ROWID",
};

/* Who holds a lock on the file, as far as /proc tells: "process 123 (imsafe)", or "another process". */
static void describe_writer(const char *path, char *text, size_t size)
{
	_cleanup_fclose_ FILE *locks = fopen("/proc/locks", "re"), *comm = NULL;
	char line[256], name[64] = "";
	struct stat st;
	int pid;

	snprintf(text, size, "another process");
	if (!locks || stat(path, &st) < 0)
		return;
	while (fgets(line, sizeof(line), locks)) {
		unsigned long long inode;

		if (sscanf(line, "%*s POSIX %*s WRITE %d %*x:%*x:%llu", &pid, &inode) != 2 || inode != st.st_ino || pid <= 0)
			continue;
		snprintf(line, sizeof(line), "/proc/%d/comm", pid);
		comm = fopen(line, "re");
		if (!comm || !fgets(name, sizeof(name), comm))
			return;
		name[strcspn(name, "\n")] = '\0';
		snprintf(text, size, "process %d (%s)", pid, name);
		return;
	}
}

/* SQLite's error as ours, in words. */
static int profile_error(struct profile *p, int code, struct errmsg *err)
{
	int system = sqlite3_system_errno(p->db);
	char writer[128];

	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		describe_writer(p->path, writer, sizeof(writer));
		return errmsg_set(err, -EBUSY, p->path, 0, "%s is writing this profile; waited %d seconds", writer,
				  PROFILE_BUSY_MS / 1000);
	case SQLITE_NOMEM:
		return errmsg_errno(err, -ENOMEM, p->path, "cannot read it");
	case SQLITE_FULL:
		return errmsg_set(err, -ENOSPC, p->path, 0, "no space left on the disk; the profile is as it was before");
	case SQLITE_READONLY:
		if (code == SQLITE_READONLY_DBMOVED)
			return errmsg_set(err, -ESTALE, p->path, 0, "the profile was moved or removed while it was in use");
		return errmsg_set(err, -EROFS, p->path, 0, "the profile cannot be written: the file or its folder is read-only");
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return errmsg_errno(err, system ? -system : -EACCES, p->path, "cannot open it");
	case SQLITE_NOTADB:
		return errmsg_set(err, -EBADMSG, p->path, 0, "this is not a profile");
	case SQLITE_IOERR:
		if (!system)
			sqlite3_file_control(p->db, "main", SQLITE_FCNTL_LAST_ERRNO, &system);
		if (system)
			return errmsg_errno(err, -system, p->path, "cannot read or write it");
		return errmsg_set(err, -EIO, p->path, 0, "the profile cannot be read or written: %s", sqlite3_errmsg(p->db));
	case SQLITE_TOOBIG:
		return errmsg_set(err, -EFBIG, p->path, 0, "the profile has grown too large");
	default:
		return errmsg_set(err, -EBADMSG, p->path, 0, "the profile is damaged: %s", sqlite3_errmsg(p->db));
	}
}

int profile_damaged(const struct profile *p, struct errmsg *err, const char *fault)
{
	return errmsg_set(err, -EBADMSG, p->path, 0, "the profile is damaged: %s", fault);
}

int profile_prepare(struct profile *p, const char *sql, sqlite3_stmt **ret_statement, struct errmsg *err)
{
	int code;

	if (!p->db)
		return errmsg_set(err, -ENOENT, p->path, 0, "nothing has been learned into this profile yet");
	code = sqlite3_prepare_v2(p->db, sql, -1, ret_statement, NULL);
	return code == SQLITE_OK ? 0 : profile_error(p, code, err);
}

int profile_step(struct profile *p, sqlite3_stmt *statement, struct errmsg *err)
{
	int code = sqlite3_step(statement);

	return code == SQLITE_ROW ? 1 : code == SQLITE_DONE ? 0 : profile_error(p, code, err);
}

int profile_exec(struct profile *p, const char *sql, struct errmsg *err)
{
	int code = sqlite3_exec(p->db, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : profile_error(p, code, err);
}

bool column_number(sqlite3_stmt *statement, int column, uint64_t max, uint64_t *ret_value)
{
	sqlite3_int64 value = sqlite3_column_int64(statement, column);

	if (sqlite3_column_type(statement, column) != SQLITE_INTEGER || value < 0 || (uint64_t)value > max)
		return false;
	*ret_value = (uint64_t)value;
	return true;
}

bool column_text(sqlite3_stmt *statement, int column, const char **ret_text)
{
	int type = sqlite3_column_type(statement, column);

	if ((type != SQLITE_TEXT && type != SQLITE_NULL) || sqlite3_column_bytes(statement, column) > PROFILE_TEXT_MAX)
		return false;
	*ret_text = (const char *)sqlite3_column_text(statement, column);
	return true;
}

/* Nothing in a file may run: it may come from anyone. */
static int make_safe(struct profile *p, struct errmsg *err)
{
	static const struct {
		int limit, value;
	} limits[] = {
		{ SQLITE_LIMIT_LENGTH, 300 << 20 }, { SQLITE_LIMIT_SQL_LENGTH, 8192 }, { SQLITE_LIMIT_COLUMN, 32 },
		{ SQLITE_LIMIT_EXPR_DEPTH, 32 }, { SQLITE_LIMIT_COMPOUND_SELECT, 4 }, { SQLITE_LIMIT_FUNCTION_ARG, 8 },
		{ SQLITE_LIMIT_ATTACHED, 0 }, { SQLITE_LIMIT_TRIGGER_DEPTH, 1 }, { SQLITE_LIMIT_WORKER_THREADS, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		sqlite3_limit(p->db, limits[i].limit, limits[i].value);
	sqlite3_extended_result_codes(p->db, 1);
	sqlite3_db_config(p->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(p->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(p->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(p->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	sqlite3_busy_timeout(p->db, PROFILE_BUSY_MS);
	return profile_exec(p, "PRAGMA mmap_size = 0; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY", err);
}

static int pragma_number(struct profile *p, const char *sql, int64_t *ret_value, struct errmsg *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	int r = profile_prepare(p, sql, &statement, err);

	if (r >= 0)
		r = profile_step(p, statement, err);
	if (r < 0)
		return r;
	*ret_value = r ? sqlite3_column_int64(statement, 0) : 0;
	return 0;
}

static int check_schema(struct profile *p, struct errmsg *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	unsigned found = 0;
	int r;

	r = profile_prepare(p, "SELECT sql FROM sqlite_schema", &statement, err);
	if (r < 0)
		return r;
	while ((r = profile_step(p, statement, err)) > 0) {
		const char *sql = (const char *)sqlite3_column_text(statement, 0);

		for (unsigned i = 0; i < ARRAY_SIZE(schema); i++)
			if (sql && !strcmp(sql, schema[i])) {
				found |= 1U << i;
				sql = NULL;
				break;
			}
		for (unsigned i = 0; i < PROFILE_SITE_TABLES && sql; i++)
			if (!strcmp(sql, profile_site_schema[i]))
				sql = NULL;
		if (sql)
			return profile_damaged(p, err, "it holds what no profile holds");
	}
	if (r < 0)
		return r;
	return found == (1U << ARRAY_SIZE(schema)) - 1 ? 0 : profile_damaged(p, err, "tables are missing");
}

static int replace(char **text, const char *with)
{
	char *copy = with ? strdup(with) : NULL;

	if (with && !copy)
		return -ENOMEM;
	free(*text);
	*text = copy;
	return 0;
}

/* The build-id of the latest run that says one. */
static int read_build_id(struct profile *p, struct errmsg *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	const char *build_id = NULL;
	int r;

	r = profile_prepare(p, "SELECT build_id FROM run WHERE build_id IS NOT NULL ORDER BY date DESC, build_id LIMIT 1",
			    &statement, err);
	if (r >= 0)
		r = profile_step(p, statement, err);
	if (r < 0)
		return r;
	if (r && !column_text(statement, 0, &build_id))
		return profile_damaged(p, err, "a build-id is no text");
	if (replace(&p->build_id, build_id) < 0)
		return errmsg_errno(err, -ENOMEM, p->path, "cannot read it");
	p->info.build_id = p->build_id;
	return 0;
}

static int read_info(struct profile *p, struct profile_info *ret_info, struct errmsg *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	const char *application, *arch = NULL;
	uint64_t length, created, changed;
	int r;

	r = profile_prepare(p, "SELECT application, arch, length, created, changed, sample_limit FROM profile", &statement, err);
	if (r >= 0)
		r = profile_step(p, statement, err);
	if (r < 0)
		return r;
	if (!r || !column_text(statement, 0, &application) || !column_text(statement, 1, &arch) || !arch ||
	    !column_number(statement, 2, LENGTH_MAX, &length) || length < LENGTH_MIN ||
	    !column_number(statement, 3, INT64_MAX, &created) || !column_number(statement, 4, INT64_MAX, &changed) ||
	    !column_number(statement, 5, INT64_MAX, &p->sample_limit))
		return profile_damaged(p, err, "what it says of itself cannot be");
	r = strcmp(arch, arch_name(ARCH_UNKNOWN)) ? arch_by_name(arch) : ARCH_UNKNOWN;
	if (r < 0)
		return profile_damaged(p, err, "its architecture is none that this program knows");
	if (replace(&p->application, application) < 0)
		return errmsg_errno(err, -ENOMEM, p->path, "cannot read it");
	*ret_info = (struct profile_info){
		.application = p->application,
		.build_id = p->build_id,
		.arch = (enum syscall_arch)r,
		.length = (unsigned)length,
		.created = (int64_t)created,
		.changed = (int64_t)changed,
	};
	return 0;
}

/* Whether the file holds a profile of ours, and what it says of itself. */
static int load(struct profile *p, struct errmsg *err)
{
	int64_t application_id, version;
	int r;

	r = pragma_number(p, "PRAGMA application_id", &application_id, err);
	if (r >= 0)
		r = pragma_number(p, "PRAGMA user_version", &version, err);
	if (r < 0)
		return r;
	if (application_id != PROFILE_APPLICATION_ID)
		return errmsg_set(err, -EBADMSG, p->path, 0, "this is a database, but not a profile");
	if (version > PROFILE_VERSION)
		return errmsg_set(err, -EPROTONOSUPPORT, p->path, 0,
				  "the profile has version %" PRId64 "; this program knows up to %d", version, PROFILE_VERSION);
	if (version != PROFILE_VERSION)
		return profile_damaged(p, err, "its version is unknown");
	r = check_schema(p, err);
	if (r >= 0)
		r = read_info(p, &p->info, err);
	return r < 0 ? r : read_build_id(p, err);
}

/* What the path names: 1 a file with something in it, 0 nothing yet. */
static int look(const char *path, enum profile_mode mode, struct errmsg *err)
{
	struct stat st;

	if (!*path)
		return errmsg_set(err, -EINVAL, NULL, 0, "a profile needs a file name");
	if (!strcmp(path, "-"))
		return errmsg_set(err, -EINVAL, NULL, 0, "a profile is a file of its own: it cannot be '-' (a file of that name is './-')");
	if (stat(path, &st) < 0) {
		if (errno == ENOENT && mode == PROFILE_CREATE)
			return 0;
		return errno == ENOENT ? errmsg_set(err, -ENOENT, path, 0, "there is no such profile") :
					 errmsg_errno(err, -errno, path, "cannot open it");
	}
	if (S_ISDIR(st.st_mode))
		return errmsg_set(err, -EISDIR, path, 0, "this is a folder, not a profile");
	if (!S_ISREG(st.st_mode))
		return errmsg_set(err, -EBADMSG, path, 0, "this is not a file");
	if (!st.st_size && mode != PROFILE_CREATE)
		return errmsg_set(err, -EBADMSG, path, 0, "the file is empty: not a profile");
	return st.st_size > 0;
}

static int open_database(struct profile *p, enum profile_mode mode, struct errmsg *err)
{
	int flags = mode == PROFILE_READ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE, code;
	char *name = NULL;

	if (mode == PROFILE_CREATE)
		flags |= SQLITE_OPEN_CREATE;
	/* A name that SQLite would take for something other than a file. */
	if (asprintf(&name, "%s%s", *p->path == ':' ? "./" : "", p->path) < 0)
		return errmsg_errno(err, -ENOMEM, p->path, "cannot open it");
	code = sqlite3_open_v2(name, &p->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
	free(name);
	if (!p->db)
		return errmsg_errno(err, -ENOMEM, p->path, "cannot open it");
	if (code != SQLITE_OK) {
		code = profile_error(p, code, err);
		sqlite3_close(p->db);
		p->db = NULL;
		return code;
	}
	if (mode != PROFILE_READ && sqlite3_db_readonly(p->db, "main") == 1)
		return errmsg_set(err, -EACCES, p->path, 0, "the profile cannot be written: no permission");
	return make_safe(p, err);
}

static int set_new(struct profile *p, const struct profile_info *info, struct errmsg *err)
{
	if (!info || info->length < LENGTH_MIN || info->length > LENGTH_MAX || info->arch >= ARCHES)
		return errmsg_set(err, -EINVAL, p->path, 0, "a new profile needs a sequence length from %d to %d", LENGTH_MIN,
				  LENGTH_MAX);
	if (info->application && strlen(info->application) > PROFILE_TEXT_MAX)
		return errmsg_set(err, -EINVAL, p->path, 0, "the application's name is too long");
	if (replace(&p->application, info->application) < 0)
		return errmsg_errno(err, -ENOMEM, p->path, "making the profile");
	p->is_new = true;
	p->sample_limit = INT64_MAX;
	p->info = (struct profile_info){
		.application = p->application,
		.arch = info->arch,
		.length = info->length,
		.created = time(NULL),
	};
	return 0;
}

/* Said before anything is learned, not after: whether a new profile can be made here. */
static int check_folder(const char *path, struct errmsg *err)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX] = ".";

	if (access(path, F_OK) < 0) {
		if (slash)
			snprintf(folder, sizeof(folder), "%.*s", slash == path ? 1 : (int)(slash - path), path);
		path = folder;
	}
	return access(path, W_OK) < 0 ? errmsg_errno(err, -errno, path, "a profile cannot be made here") : 0;
}

int profile_open(const char *path, enum profile_mode mode, const struct profile_info *info, struct profile **ret_profile,
		 struct errmsg *err)
{
	_cleanup_(profile_closep) struct profile *p = NULL;
	int there = look(path, mode, err), r;

	if (there < 0)
		return there;
	p = calloc(1, sizeof(*p));
	if (!p || !(p->path = strdup(path)))
		return errmsg_errno(err, -ENOMEM, path, "cannot open it");
	/* A new file is not made before there is something to put into it. */
	r = there ? open_database(p, mode, err) : set_new(p, info, err);
	if (r >= 0)
		r = there ? load(p, err) : check_folder(path, err);
	if (r < 0)
		return r;
	*ret_profile = TAKE_PTR(p);
	return 0;
}

/* A file that was made here and got nothing is taken away again, while the lock keeps others from writing to it. */
static void remove_unused(struct profile *p)
{
	struct stat st;

	if (!p->created || !p->is_new || sqlite3_exec(p->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
		return;
	if (!stat(p->path, &st) && S_ISREG(st.st_mode) && !st.st_size)
		unlink(p->path);
	sqlite3_exec(p->db, "ROLLBACK", NULL, NULL, NULL);
}

struct profile *profile_close(struct profile *p)
{
	if (!p)
		return NULL;
	if (p->db) {
		profile_rollback(p);
		sqlite3_busy_timeout(p->db, 0);
		remove_unused(p);
		sqlite3_close(p->db);
	}
	free((char *)p->found.source);
	free((char *)p->found.sensor);
	free((char *)p->found.build_id);
	free(p->application);
	free(p->build_id);
	free(p->path);
	free(p);
	return NULL;
}

const struct profile_info *profile_info(const struct profile *p)
{
	return &p->info;
}

bool profile_is_new(const struct profile *p)
{
	return p->is_new;
}

const char *profile_path(const struct profile *p)
{
	return p->path;
}

static int write_schema(struct profile *p, struct errmsg *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	char pragmas[96];
	int r;

	p->sample_limit = INT64_MAX;
	snprintf(pragmas, sizeof(pragmas), "PRAGMA application_id = %d; PRAGMA user_version = %d", PROFILE_APPLICATION_ID,
		 PROFILE_VERSION);
	r = profile_exec(p, pragmas, err);
	for (size_t i = 0; i < ARRAY_SIZE(schema) && r >= 0; i++)
		r = profile_exec(p, schema[i], err);
	if (r >= 0)
		r = profile_prepare(p, "INSERT INTO profile VALUES (1, ?, ?, ?, ?, 0, ?)", &statement, err);
	if (r < 0)
		return r;
	sqlite3_bind_text(statement, 1, p->application, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 2, arch_name(p->info.arch), -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 3, p->info.length);
	sqlite3_bind_int64(statement, 4, p->info.created);
	sqlite3_bind_int64(statement, 5, (sqlite3_int64)p->sample_limit);
	return profile_step(p, statement, err);
}

/* A new profile, unless another process has made it since it was opened. */
static int begin_new(struct profile *p, struct errmsg *err)
{
	enum syscall_arch arch = p->info.arch;
	unsigned length = p->info.length;
	int64_t tables;
	int r;

	r = pragma_number(p, "SELECT count(*) FROM sqlite_schema", &tables, err);
	if (r < 0)
		return r;
	if (!tables)
		return write_schema(p, err);
	r = load(p, err);
	if (r < 0)
		return r;
	p->is_new = false;
	if (p->info.arch != arch || p->info.length != length)
		return errmsg_set(err, -EEXIST, p->path, 0,
				  "another process has just made this profile, for %s and sequence length %u",
				  arch_name(p->info.arch), p->info.length);
	return 0;
}

int profile_begin(struct profile *p, struct errmsg *err)
{
	int moved = 0, r;

	if (p->transaction)
		return errmsg_set(err, -EBUSY, p->path, 0, "the profile is being changed already");
	if (!p->db) {
		p->created = access(p->path, F_OK) < 0;
		r = open_database(p, PROFILE_CREATE, err);
		if (r < 0)
			return r;
	}
	r = profile_exec(p, "BEGIN IMMEDIATE", err);
	if (r < 0)
		return r;
	p->transaction = true;
	/* Writing to a file without a name would be writing to nowhere. */
	if (sqlite3_file_control(p->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved) {
		profile_rollback(p);
		return profile_error(p, SQLITE_READONLY_DBMOVED, err);
	}
	r = p->is_new ? begin_new(p, err) : load(p, err);
	if (r >= 0)
		r = profile_count_sample(p, err);
	if (r < 0)
		profile_rollback(p);
	return r;
}

int profile_set_application(struct profile *p, const char *application, struct errmsg *err)
{
	if (application && strlen(application) > PROFILE_TEXT_MAX)
		return errmsg_set(err, -EINVAL, p->path, 0, "the application's name is too long");
	if (replace(&p->application, application) < 0)
		return errmsg_errno(err, -ENOMEM, p->path, "changing the profile");
	p->info.application = p->application;
	return 0;
}

int profile_commit(struct profile *p, struct errmsg *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	int r;

	r = profile_prepare(p, "UPDATE profile SET changed = ?, application = ?, sample_limit = ?", &statement, err);
	if (r >= 0) {
		p->info.changed = time(NULL);
		sqlite3_bind_int64(statement, 1, p->info.changed);
		sqlite3_bind_text(statement, 2, p->application, -1, SQLITE_STATIC);
		sqlite3_bind_int64(statement, 3, (sqlite3_int64)p->sample_limit);
		r = profile_step(p, statement, err);
	}
	if (r >= 0)
		r = read_build_id(p, err);
	if (r >= 0)
		r = profile_exec(p, "COMMIT", err);
	if (r < 0) {
		profile_rollback(p);
		return r;
	}
	p->transaction = p->is_new = false;
	return 0;
}

void profile_rollback(struct profile *p)
{
	/* SQLite may have ended the transaction itself, after a full disk for instance. */
	if (p->transaction && !sqlite3_get_autocommit(p->db))
		sqlite3_exec(p->db, "ROLLBACK", NULL, NULL, NULL);
	p->transaction = false;
}
