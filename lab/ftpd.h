/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lab's FTP server: RFC 959 with passive mode, a process a session, for the machine's own user on loopback.
 * SITE EXEC (ftpd-site.c) is vulnerable on purpose; the rest is meant to be right.
 */
#ifndef IMSAFE_LAB_FTPD_H
#define IMSAFE_LAB_FTPD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define LINE_SIZE  4096 /* longest command */
#define PATH_SIZE  1024
#define BLOCK_SIZE 16384

struct session {
	int control;
	int root; /* the folder that is served: nothing outside it can be named */
	int log;  /* -1: none */
	struct sockaddr_in local, peer;

	unsigned char in[LINE_SIZE]; /* received, not yet read */
	size_t in_start, in_end;
	char line[LINE_SIZE]; /* the command, decoded; may hold any byte, with a NUL after length */
	size_t length;

	bool named, logged_in, leaving;
	char user[32];
	char cwd[PATH_SIZE]; /* as the client sees it, from "/" */
	char rename_from[PATH_SIZE];
	off_t restart;
	bool ascii;

	int listener;               /* passive mode: waiting for the client; -1 */
	struct sockaddr_in active;  /* PORT: where to connect; port 0 = none */
};

/* argument: the command's text after its name, NUL-terminated; length counts bytes (they may include NULs). */
typedef void command_fn(struct session *s, char *argument, size_t length);

/* ftpd-session.c */
void session_run(struct session *s);
bool session_aborted(struct session *s); /* the client has sent ABOR during a transfer: it is consumed */
void reply(struct session *s, int code, const char *format, ...);
void reply_line(struct session *s, const char *format, ...); /* a line inside a reply of several lines */
int send_all(int fd, const void *bytes, size_t n); /* 0 or -errno */

/* ftpd-data.c */
command_fn command_pasv, command_epsv, command_port, command_eprt;
void data_close(struct session *s); /* forget a listener or an address that was not used */
int data_open(struct session *s);   /* the data connection, after a 150 reply; -1 after a 425 reply */
command_fn command_list, command_nlst, command_retr, command_stor, command_appe;

/* ftpd-files.c */
int root_open(struct session *s, const char *path, int flags, mode_t mode); /* -1 with errno */
const char *root_path(struct session *s, const char *argument, char path[PATH_SIZE]); /* NULL: too long */
void reply_errno(struct session *s, const char *name);
command_fn command_cwd, command_cdup, command_pwd, command_dele, command_mkd, command_rmd, command_rnfr, command_rnto,
	command_size, command_mdtm, command_site_chmod;

/* ftpd-site.c */
command_fn command_site;

#endif
