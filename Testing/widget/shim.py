"""``qt``, ``ctk`` and the few functions of ``slicer`` that panels use, over PySide6, spoken as PythonQt speaks.

It proves names of objects, properties and signals, what is enabled and what is filled. It cannot prove Slicer's own
widgets, who owns what, or how it looks there.
"""

from __future__ import annotations

import ctypes
import sys
import types
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtUiTools import QUiLoader

UI = Path(__file__).resolve().parents[2] / "SegVariance" / "Resources" / "UI"


class PythonQtObject:
    """A QObject as PythonQt gives it: properties are values, signals are connected by their C++ text.

    An unknown property or signal raises, where PythonQt would only print or, for an assignment, do nothing.
    """

    def __init__(self, wrapped: QtCore.QObject):
        object.__setattr__(self, "wrapped", wrapped)

    def __getattr__(self, name: str) -> Any:
        wrapped = object.__getattribute__(self, "wrapped")
        if wrapped.metaObject().indexOfProperty(name) >= 0:
            return wrapped.property(name)
        return spoken(getattr(wrapped, name))

    def __setattr__(self, name: str, value: Any) -> None:
        if self.wrapped.metaObject().indexOfProperty(name) < 0:
            raise AttributeError(f"{type(self.wrapped).__name__} has no property {name!r}")
        self.wrapped.setProperty(name, unspoken(value))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PythonQtObject) and self.wrapped is other.wrapped

    def __hash__(self) -> int:
        return hash(self.wrapped)

    def connect(self, signal: str, called: Any) -> bool:
        self._bound(signal).connect(called)
        return True

    def disconnect(self, signal: str, called: Any) -> bool:
        return bool(self._bound(signal).disconnect(called))

    def _bound(self, signal: str) -> Any:
        """The signal of that very text, such as ``clicked(bool)``."""
        meta = self.wrapped.metaObject()
        number = meta.indexOfSignal(QtCore.QMetaObject.normalizedSignature(signal).data().decode())
        if number < 0:
            raise ValueError(f"{type(self.wrapped).__name__} has no signal {signal!r}")
        return getattr(self.wrapped, bytes(meta.method(number).name()).decode())


def spoken(value: Any) -> Any:
    """What PySide6 gives, as PythonQt would give it."""
    if isinstance(value, QtCore.QObject):
        return PythonQtObject(value)
    if callable(value) and not isinstance(value, type):

        def called(*arguments: Any, **settings: Any) -> Any:
            result = value(*map(unspoken, arguments), **{name: unspoken(each) for name, each in settings.items()})
            return spoken(result) if isinstance(result, QtCore.QObject) else result

        return called
    return value


def unspoken(value: Any) -> Any:
    return value.wrapped if isinstance(value, PythonQtObject) else value


class TableItem(QtWidgets.QTableWidgetItem):
    """Takes what PythonQt makes a QVariant of: an integer of numpy would stand in the table as an empty cell."""

    def setData(self, role: int, value: Any) -> None:
        assert isinstance(value, str | int | float), f"{value!r} is a {type(value)}, which PythonQt cannot show"
        super().setData(role, value)


class _Qt(types.ModuleType):
    """``qt``: all classes in one module; QObjects are made wrapped, other classes as they are."""

    QTableWidgetItem = TableItem

    def __getattr__(self, name: str) -> Any:
        for module in (QtWidgets, QtGui, QtCore):
            if hasattr(module, name):
                found = getattr(module, name)
                return _maker(found) if isinstance(found, type) and issubclass(found, QtCore.QObject) else found
        raise AttributeError(f"qt has no {name!r}")


def _maker(kind: type) -> Any:
    """The class as PythonQt has it: called it makes a wrapped object, its static functions and enums stay."""

    class Maker(type):
        def __call__(cls, *arguments: Any) -> PythonQtObject:
            return PythonQtObject(kind(*map(unspoken, arguments)))

        def __getattr__(cls, name: str) -> Any:
            return spoken(getattr(kind, name))

    if kind.__name__ not in _makers:
        _makers[kind.__name__] = Maker(kind.__name__, (), {})
    return _makers[kind.__name__]


_makers: dict[str, Any] = {}


class CollapsibleButton(QtWidgets.QGroupBox):
    """``ctk.ctkCollapsibleButton``: a head with a text that opens and closes. What is hidden can be used all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.setCheckable(True)
        self.toggled.connect(lambda opened: [self._show(child, opened) for child in self.children()])

    def childEvent(self, event: QtCore.QChildEvent) -> None:
        """In place of QGroupBox's own, which disables what is added while it is closed."""
        if event.added():
            self._show(event.child(), self.isChecked())

    @staticmethod
    def _show(child: QtCore.QObject, opened: bool) -> None:
        if isinstance(child, QtWidgets.QWidget):
            child.setEnabled(True)
            child.setVisible(opened)

    text = QtCore.Property(str, QtWidgets.QGroupBox.title, QtWidgets.QGroupBox.setTitle)
    collapsed = QtCore.Property(bool, lambda self: not self.isChecked(), lambda self, to: self.setChecked(not to))


def load_ui(path: Any) -> PythonQtObject:
    """``slicer.util.loadUI``."""
    file = QtCore.QFile(str(path))
    if not file.open(QtCore.QIODevice.OpenModeFlag.ReadOnly):
        raise RuntimeError(f"{path} cannot be read")
    widget = QUiLoader().load(file)
    if widget is None:
        raise RuntimeError(f"{path} is not a .ui file")
    return PythonQtObject(widget)


def child_widget_variables(widget: PythonQtObject) -> types.SimpleNamespace:
    """``slicer.util.childWidgetVariables``: a name for each child that has one."""
    found = types.SimpleNamespace()
    for child in widget.wrapped.findChildren(QtCore.QObject):
        if child.objectName() and not child.objectName().startswith("qt_"):
            assert not hasattr(found, child.objectName()), f"two widgets are called {child.objectName()}"
            setattr(found, child.objectName(), PythonQtObject(child))
    return found


class Parameters:
    """What ``parameterNodeWrapper`` makes of a class: typed fields over a dict, which stands for the node."""

    def __init__(self, node: dict[str, Any]):
        object.__setattr__(self, "node", node)

    def __getattr__(self, name: str) -> Any:
        kind = str(type(self).__annotations__[name])
        return self.node.get(name, [] if kind.startswith("list") else "")

    def __setattr__(self, name: str, value: Any) -> None:
        kind = str(type(self).__annotations__[name])
        assert isinstance(value, list if kind.startswith("list") else str), f"{name} is a {kind}, not {value!r}"
        self.node[name] = value


class ModuleWidget:
    """``ScriptedLoadableModuleWidget``: a layout and where resources lie."""

    def __init__(self, parent: Any = None):
        pass

    def setup(self) -> None:
        self.parent = PythonQtObject(QtWidgets.QWidget())
        self.layout = PythonQtObject(QtWidgets.QVBoxLayout(self.parent.wrapped))

    def resourcePath(self, name: str) -> str:
        return str(UI.parent / name)


class Observations:
    """``VTKObservationMixin``: observers that a test can call."""

    def __init__(self) -> None:
        self.observed: dict[str, Any] = {}

    def addObserver(self, node: Any, event: str, called: Any) -> None:
        self.observed[event] = called

    def removeObservers(self) -> None:
        self.observed.clear()


class ModuleLogic:
    """``ScriptedLoadableModuleLogic``; its parameter node is the one of the scene."""

    def getParameterNode(self) -> dict[str, Any]:
        return sys.modules["slicer"].mrmlScene.parameters


def install_application(folder: Path) -> Any:
    """What SegVariance.py needs beyond panels; returns the scene, whose ``parameters`` outlive the widget."""
    slicer = sys.modules["slicer"]
    slicer.mrmlScene = types.SimpleNamespace(
        parameters={}, IsClosing=lambda: False, IsImporting=lambda: False,
        StartCloseEvent="StartClose", EndCloseEvent="EndClose", EndImportEvent="EndImport",
    )  # fmt: skip
    slicer.app = types.SimpleNamespace(
        temporaryPath=str(folder), applicationLogic=lambda: None, userSettings=settings_in(folder),
        connect=lambda signal, called: None,
    )  # fmt: skip
    slicer.util.startupEnvironment = lambda: {"PATH": "/usr/bin:/bin"}
    slicer.util.showStatusMessage = lambda text: None
    slicer.util.mainWindow = lambda: None
    slicer.util.VTKObservationMixin = Observations
    sys.modules["slicer.util"] = types.ModuleType("slicer.util")
    vars(sys.modules["slicer.util"]).update(vars(slicer.util))
    install_module_classes(ModuleLogic, type("ScriptedLoadableModuleTest", (), {}))
    return slicer.mrmlScene


def settings_in(folder: Path) -> Any:
    """``slicer.app.userSettings``, of a file in this folder."""
    settings = QtCore.QSettings(str(folder / "settings.ini"), QtCore.QSettings.Format.IniFormat)
    return lambda: PythonQtObject(settings)


def install_module_classes(logic: type, test: type) -> None:
    """The Python modules of the application that a scripted module is made of."""
    parts = {
        "slicer.i18n": {"tr": lambda text: text, "translate": lambda context, text: text},
        "slicer.parameterNodeWrapper": {
            "parameterNodeWrapper": lambda kind: type(
                kind.__name__, (Parameters,), {"__annotations__": kind.__annotations__}
            )
        },
        "slicer.ScriptedLoadableModule": {
            "ScriptedLoadableModule": type("ScriptedLoadableModule", (), {"__init__": lambda self, parent: None}),
            "ScriptedLoadableModuleWidget": ModuleWidget,
            "ScriptedLoadableModuleLogic": logic,
            "ScriptedLoadableModuleTest": test,
        },
    }
    for name, content in parts.items():
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(content)


def _keep_none_alive() -> None:
    """PySide6 6.12 takes a reference of None away with every call that returns None; Python 3.11 then ends in an abort.

    From Python 3.12 on None cannot die. This can go when 3.11 goes, or when PySide6 counts right again.
    """
    if sys.version_info < (3, 12):
        ctypes.c_ssize_t.from_address(id(None)).value += 1 << 40


def install_qt() -> QtWidgets.QApplication:
    """Put ``qt`` and ``ctk`` where panels import them, and start the one application."""
    _keep_none_alive()
    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
    sys.modules["qt"] = _Qt("qt")
    ctk = types.ModuleType("ctk")
    ctk.ctkCollapsibleButton = lambda: PythonQtObject(CollapsibleButton())
    sys.modules["ctk"] = ctk
    sys.path.insert(0, str(UI.parents[1]))
    return application  # type: ignore[return-value]


def install() -> QtWidgets.QApplication:
    """The same with a ``slicer`` that holds nothing but what panels call."""
    slicer = types.ModuleType("slicer")
    slicer.util = types.SimpleNamespace(loadUI=load_ui, childWidgetVariables=child_widget_variables)
    sys.modules["slicer"] = slicer
    return install_qt()
