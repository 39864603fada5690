/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* imsafe lab: the guided lab. The walk itself is a script, lab/walk: what it does is what a reader can type. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/verbs.h"

struct lab_config {
	const char *dir, *sensor, *server;
	unsigned sessions, port;
	bool step;
};

static const struct option_spec options[] = {
	OPTION_STRING('d', "dir", "FOLDER", struct lab_config, dir, "where everything goes (./imsafe-lab); made anew"),
	OPTION_STRING(0, "sensor", "auto|ebpf|ptrace", struct lab_config, sensor, "ebpf (the driver), ptrace, or auto: the best that works here (default)"),
	OPTION_STRING(0, "server", "NAME", struct lab_config, server,
		      "lab (default), or a stock server with a back door: vsftpd, proftpd, pure-ftpd, or its path"),
	OPTION_UINT('n', "sessions", "N", struct lab_config, sessions, 1, 10000, "how many normal sessions to learn from (200)"),
	OPTION_UINT('p', "port", "N", struct lab_config, port, 1024, 65000, "where the server listens, or the next free one (2121)"),
	OPTION_FLAG(0, "step", struct lab_config, step, "wait for Enter before each step"),
	OPTION_END
};

static int verb_lab_run(int argc, char **argv);

const struct verb verb_lab = {
	.name = "lab",
	.summary = "the guided lab: a server, its profile, an attack, the alarm",
	.synopsis = "[OPTIONS]",
	.description = "Starts a small FTP server on 127.0.0.1, records it while stock clients use it, learns its profile, watches\n"
		       "normal use without an alarm, attacks it, shows the alarm and the graph, and what changing the\n"
		       "sequence length, the mean length and the threshold does. It says at each step what happens and why,\n"
		       "with the commands to do it again. It needs no privilege, and nothing runs on when it ends.\n\n"
		       "The server is vulnerable on purpose: it serves nobody but you, and never as root.",
	.examples = "  imsafe lab\n"
		    "  imsafe lab --step                     at your own pace\n"
		    "  sudo imsafe lab --sensor=ebpf         with the driver\n"
		    "  imsafe lab --server=vsftpd            train on the distribution's vsftpd\n"
		    "  imsafe lab --sessions=10              what too little training does\n",
	.options = options,
	.run = verb_lab_run,
};

/* The lab's script: in a build, where it was installed, or below where the installed tree has been moved to. */
static int find_walk(const char *self, char ret_walk[PATH_MAX], struct errmsg *err)
{
	static const char *const places[] = { "../../lab/walk", LAB_FOLDER "/walk", "../" LAB_BELOW "/walk", NULL };
	const char *slash = strrchr(self, '/');

	for (const char *const *place = places; *place; place++) {
		bool absolute = (*place)[0] == '/';

		if (snprintf(ret_walk, PATH_MAX, "%.*s%s", absolute ? 0 : (int)(slash + 1 - self), self, *place) < PATH_MAX &&
		    access(ret_walk, R_OK) == 0)
			return 0;
	}
	return errmsg_set(err, -ENOENT, LAB_FOLDER "/walk", 0, "is missing: the lab is not installed");
}

static bool is_one_of(const char *name, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(name, *list))
			return true;
	return false;
}

/* A server's name, or the path of one of that name, made absolute: the walk works in a folder of its own. */
static int find_server(const char *name, char ret_server[PATH_MAX], struct errmsg *err)
{
	static const char *const servers[] = { "lab", "vsftpd", "proftpd", "pure-ftpd", NULL };
	const char *slash = strrchr(name, '/');

	if (!is_one_of(slash ? slash + 1 : name, slash ? servers + 1 : servers))
		return errmsg_set(err, -EINVAL, NULL, 0, "there is no server '%s'; see 'imsafe lab --help'", name);
	if (!slash)
		snprintf(ret_server, PATH_MAX, "%s", name);
	else if (!realpath(name, ret_server) || access(ret_server, X_OK) < 0)
		return errmsg_errno(err, -errno, name, "cannot be run");
	return 0;
}

static int verb_lab_run(int argc, char **argv)
{
	static const char *const sensors[] = { "auto", "ebpf", "ptrace", NULL };
	struct lab_config config = { .dir = "imsafe-lab", .sensor = "auto", .server = "lab", .sessions = 200, .port = 2121 };
	char sessions[16], port[16];
	char self[PATH_MAX], walk[PATH_MAX], server[PATH_MAX];
	struct errmsg err = { 0 };
	ssize_t n;
	int rest = 0, r;

	r = options_parse(&verb_lab, argc, argv, &config, false, &rest, &err);
	if (r > 0)
		return EXIT_OK;
	if (r < 0)
		goto fail;
	if (rest < argc) {
		errmsg_set(&err, -EINVAL, NULL, 0, "'%s' is no option; the lab takes no arguments", argv[rest]);
		goto fail;
	}
	if (!is_one_of(config.sensor, sensors)) {
		errmsg_set(&err, -EINVAL, NULL, 0, "there is no sensor '%s'; see 'imsafe lab --help'", config.sensor);
		goto fail;
	}
	if (find_server(config.server, server, &err) < 0)
		goto fail;
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0) {
		errmsg_errno(&err, -errno, "/proc/self/exe", "cannot be read");
		goto fail;
	}
	self[n] = '\0';
	if (find_walk(self, walk, &err) < 0)
		goto fail;
	snprintf(sessions, sizeof(sessions), "%u", config.sessions);
	snprintf(port, sizeof(port), "%u", config.port);
	execl("/bin/sh", "sh", walk, self, config.dir, config.sensor, server, sessions, port, config.step ? "step" : "go", NULL);
	errmsg_errno(&err, -errno, "/bin/sh", "cannot be started");
fail:
	errmsg_print(&err, stderr, argv[0]);
	return EXIT_ERROR;
}
