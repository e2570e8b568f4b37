"""The table of what is proven on which kernel."""

from __future__ import annotations

from pathlib import Path

from tests.vm import proven

HOST = """
<testsuites><testsuite timestamp="2026-01-02T03:04:05.678">
  <testcase name="a"><properties><property name="needs" value="veth"/><property name="kernel" value="6.18"/></properties></testcase>
  <testcase name="b"><properties><property name="needs" value="veth"/><property name="kernel" value="6.18"/></properties>
    <failure/></testcase>
  <testcase name="c"><properties><property name="needs" value="vlan"/><property name="kernel" value="6.18"/></properties>
    <skipped/></testcase>
  <testcase name="e"><properties><property name="needs" value="nft"/><property name="kernel" value="6.18"/></properties>
    <skipped/></testcase>
  <testcase name="d"><properties><property name="kernel" value="6.18"/><property name="has" value="veth"/>
    <property name="lacks" value="vlan: this kernel has no link kind vlan (EOPNOTSUPP)"/>
    <property name="lacks" value="nft: nft is not installed"/></properties></testcase>
  <testcase name="of no kernel"/>
</testsuite></testsuites>
"""
SECOND = """
<testsuites><testsuite timestamp="2026-01-02T04:04:05.678">
  <testcase name="a"><properties><property name="needs" value="vlan"/><property name="kernel" value="6.1"/></properties></testcase>
  <testcase name="d"><properties><property name="kernel" value="6.1"/><property name="has" value="dummy"/>
    <property name="has" value="nft"/></properties></testcase>
</testsuite></testsuites>
"""


def test_each_kernel_has_a_column(tmp_path: Path) -> None:
    """Passed and failed tests are counted by what they needed; skipped ones give way to the probe's answer."""
    files = []
    for name, text in {"host.xml": HOST, "vm.xml": SECOND}.items():
        files.append(tmp_path / name)
        files[-1].write_text(text.strip())
    assert list(proven.table(proven.columns(files))) == [
        "| feature | Linux 6.18, 2026-01-02 03:04 | Linux 6.1, 2026-01-02 04:04 |",
        "| ------- | ---------------------------- | --------------------------- |",
        "| nft     | nft is not installed         | has it, no test ran         |",
        "| veth    | 1 FAILED, 1 passed           |                             |",
        "| vlan    | lacks it (EOPNOTSUPP)        | 1 passed                    |",
        "\nWhat no test needs: dummy.",
    ]
