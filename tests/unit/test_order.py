"""What the tests themselves rely on under `-n --dist loadgroup`: a file's tests run in one process, in their order."""


def test_a_files_tests_are_dealt_to_one_process(request):
    by_group = getattr(request.config.option, "loadgroup", False)  # set by xdist in its processes
    assert request.node.get_closest_marker("xdist_group").args == ("test_order",)
    assert request.node.nodeid.endswith("@test_order") == by_group
