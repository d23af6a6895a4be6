/* SPDX-License-Identifier: ISC */
/*
 * The way out of the stock machine: a static program for its initramfs that writes to the debug ports of
 * QEMU. No driver of the kernel under test takes part, and bytes arrive as they are.
 *
 *	leave say WORD...	one line of progress for tests/stock/boot
 *	leave send		standard input, as the archive of files to bring back
 *	leave exit STATUS	end the machine
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <unistd.h>

enum {
	PORT_SAY = 0xe9,   /* isa-debugcon */
	PORT_SEND = 0x403, /* isa-debugcon */
	PORT_EXIT = 0xf4,  /* isa-debug-exit: QEMU ends with 2 * STATUS + 1 */
};

static int
send_stdin(void)
{
	char buf[65536];
	ssize_t n;

	while ((n = read(STDIN_FILENO, buf, sizeof(buf))) > 0)
		outsb(PORT_SEND, buf, (unsigned long)n);
	return n == 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
	if (argc < 2 || iopl(3) != 0) {
		fprintf(stderr, "usage: leave say WORD... | send | exit STATUS (as root)\n");
		return 2;
	}
	if (strcmp(argv[1], "say") == 0) {
		for (int i = 2; i < argc; i++) {
			outsb(PORT_SAY, argv[i], strlen(argv[i]));
			outb(i == argc - 1 ? '\n' : ' ', PORT_SAY);
		}
		return 0;
	}
	if (strcmp(argv[1], "send") == 0)
		return send_stdin();
	if (strcmp(argv[1], "exit") == 0 && argc == 3) {
		outb((unsigned char)atoi(argv[2]), PORT_EXIT);
		return 1; /* no such device: the caller powers off */
	}
	return 2;
}
