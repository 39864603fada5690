/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lab's FTP server: starts, listens, forks a process a session; or serves the one that inetd hands it. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ftpd.h"

#define NOBODY 65534

/* Without this it would serve everybody, so it serves nobody. */
#define NO_OWNERS "nobody can be served, as the kernel does not say whose a connection is (that takes sock_diag with tcp_diag)"

static volatile sig_atomic_t stop;

static void on_stop(int number)
{
	stop = number;
}

static int fail(const char *what)
{
	fprintf(stderr, "ftpd: %s: %s\n", what, strerror(errno));
	return 2;
}

static int usage(FILE *out)
{
	fprintf(out,
		"Usage: ftpd [-p PORT] [-l LOG] FOLDER\n\n"
		"A small FTP server for ImSafe's lab. Its SITE EXEC is VULNERABLE ON PURPOSE: it serves only this machine's\n"
		"own user, on 127.0.0.1, and never as root.\n\n"
		"  -p PORT   listen on 127.0.0.1:PORT (above 1023; 0 = any free one), and print it;\n"
		"            without -p: stdin is the connection, as inetd gives it\n"
		"  -l LOG    append what clients ask for to LOG\n");
	return out == stdout ? 0 : 2;
}

static bool on_loopback(const struct sockaddr_in *address)
{
	return address->sin_family == AF_INET && ntohl(address->sin_addr.s_addr) >> 24 == 127;
}

/* The user of the TCP socket that lies here and leads there (for one that listens: anywhere), from the kernel. 0 or -errno. */
static int socket_owner(const struct sockaddr_in *here, const struct sockaddr_in *there, uid_t *ret_owner)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 question;
	} ask = {
		.header = { .nlmsg_len = sizeof(ask), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST },
		.question = {
			.sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = ~0U,
			.id = { .idiag_sport = here->sin_port, .idiag_dport = there->sin_port,
				.idiag_src = { here->sin_addr.s_addr }, .idiag_dst = { there->sin_addr.s_addr },
				.idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } },
		},
	};
	union {
		struct nlmsghdr header;
		char bytes[4096];
	} answer;
	const struct inet_diag_msg *found = NLMSG_DATA(&answer.header);
	const struct nlmsgerr *error = NLMSG_DATA(&answer.header);
	int kernel = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG), r = 0;
	ssize_t n;

	if (kernel < 0)
		return -errno;
	n = send(kernel, &ask, sizeof(ask), 0) < 0 ? -1 : recv(kernel, &answer, sizeof(answer), 0);
	if (n < 0)
		r = -errno;
	else if (n >= (ssize_t)NLMSG_SPACE(sizeof(*error)) && answer.header.nlmsg_type == NLMSG_ERROR && error->error)
		r = error->error;
	else if (n < (ssize_t)NLMSG_SPACE(sizeof(*found)) || answer.header.nlmsg_type != SOCK_DIAG_BY_FAMILY)
		r = -EPROTO;
	else if (!found->idiag_inode) /* closed sockets have no user */
		r = -ENOENT;
	else
		*ret_owner = found->idiag_uid;
	close(kernel);
	return r;
}

static int serve(int connection, int root, int log, uid_t owner)
{
	struct session *s = calloc(1, sizeof(*s));
	socklen_t size = sizeof(s->local);
	uid_t client;
	int r;

	if (!s)
		return fail("session");
	if (getsockname(connection, (struct sockaddr *)&s->local, &size) < 0)
		return fail("the connection");
	size = sizeof(s->peer);
	if (getpeername(connection, (struct sockaddr *)&s->peer, &size) < 0)
		return fail("the connection");
	if (!on_loopback(&s->local) || !on_loopback(&s->peer)) {
		fprintf(stderr, "ftpd: this server is vulnerable on purpose and serves only 127.0.0.1\n");
		return 2;
	}
	s->control = connection;
	s->root = root;
	s->log = log;
	if (socket_owner(&s->peer, &s->local, &client) < 0 || (client && client != owner)) {
		r = socket_owner(&s->local, &s->peer, &client); /* can it be known at all? */
		reply(s, 421, r < 0 ? NO_OWNERS ": %s" : "This server is for the user who started it.", strerror(-r));
		return 2;
	}
	session_run(s);
	free(s);
	return 0;
}

static int listen_and_serve(unsigned port, int root, int log, uid_t owner)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, r;
	uid_t ours;

	if (listener < 0)
		return fail("socket");
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listener, 32) < 0)
		return fail("127.0.0.1");
	getsockname(listener, (struct sockaddr *)&address, &size);
	r = socket_owner(&address, &address, &ours);
	if (r < 0) {
		errno = -r;
		return fail(NO_OWNERS);
	}
	printf("ftpd: vulnerable on purpose; on 127.0.0.1 port %u, for this user alone\n", ntohs(address.sin_port));
	fflush(stdout);

	while (!stop) {
		int connection = accept(listener, NULL, NULL);
		pid_t child = connection < 0 ? -1 : fork();

		if (child == 0) {
			signal(SIGCHLD, SIG_DFL);
			signal(SIGINT, SIG_DFL);
			signal(SIGTERM, SIG_DFL);
			/* A session does not outlive the server. */
			prctl(PR_SET_PDEATHSIG, SIGTERM);
			close(listener);
			dup2(connection, STDIN_FILENO);
			dup2(connection, STDOUT_FILENO);
			if (connection > STDERR_FILENO)
				close(connection);
			_exit(serve(STDIN_FILENO, root, log, owner));
		}
		if (connection >= 0)
			close(connection);
		else if (errno != EINTR)
			return fail("accept");
	}
	return 0;
}

/* A hole must not give root to anybody: become the folder's owner, or nobody. */
static int drop_root(int root)
{
	struct stat st;
	uid_t uid = NOBODY;
	gid_t gid = NOBODY;

	if (geteuid() != 0)
		return 0;
	if (fstat(root, &st) == 0 && st.st_uid != 0) {
		uid = st.st_uid;
		gid = st.st_gid ? st.st_gid : NOBODY;
	}
	if (setgroups(0, NULL) < 0 || setgid(gid) < 0 || setuid(uid) < 0)
		return -1;
	/* Root's tracer may still look at it, as at any process. */
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction stopping = { .sa_handler = on_stop };
	const char *log_path = NULL;
	uid_t owner = getuid();
	long port = -1;
	int option, root, log = -1;

	while ((option = getopt(argc, argv, "p:l:h")) != -1) {
		char *end;

		switch (option) {
		case 'p':
			port = strtol(optarg, &end, 10);
			if (end == optarg || *end || port < 0 || port > 65535 || (port && port < 1024)) {
				fprintf(stderr, "ftpd: '%.32s' is not a port above 1023 (this is no server for port 21)\n", optarg);
				return 2;
			}
			break;
		case 'l':
			log_path = optarg;
			break;
		case 'h':
			return usage(stdout);
		default:
			return usage(stderr);
		}
	}
	if (optind + 1 != argc)
		return usage(stderr);
	root = open(argv[optind], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || fchdir(root) < 0)
		return fail(argv[optind]);
	if (log_path && (log = open(log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600)) < 0)
		return fail(log_path);
	if (drop_root(root) < 0)
		return fail("giving up root");
	umask(022);
	signal(SIGPIPE, SIG_IGN);
	if (port < 0)
		return serve(STDIN_FILENO, root, log, owner);
	sigaction(SIGINT, &stopping, NULL);
	sigaction(SIGTERM, &stopping, NULL);
	signal(SIGCHLD, SIG_IGN);
	return listen_and_serve(port, root, log, owner);
}
