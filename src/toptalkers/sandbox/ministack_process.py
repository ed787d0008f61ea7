"""MiniStack as a process of the sandbox: `python -m toptalkers.sandbox.ministack_process`."""

import runpy

from toptalkers.sandbox.guarded import die_with_parent, kill_own_group


def main() -> None:
    """Serve until killed; its settings come from the environment."""
    die_with_parent(kill_own_group)
    from toptalkers.sandbox.ministack_additions import add_to_ministack

    add_to_ministack()
    runpy.run_module("ministack", run_name="__main__")


if __name__ == "__main__":
    main()
