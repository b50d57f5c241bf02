from django.urls import path

from deploy import fragments, views, views_drift, views_enrol, views_probing, views_rollout

app_name = "deploy"
urlpatterns = [
    path("", views.hosts, name="hosts"),
    path("add/", views_enrol.add, name="add"),
    path("practice/", views_enrol.practice, name="practice"),
    path("practice/progress/", views_enrol.practice_progress, name="practice_progress"),
    path("changes/", fragments.change_bar, name="change_bar"),
    path("accounts/<int:pk>/live/", fragments.account_live, name="account_live"),
    path("rollouts/<int:pk>/", views_rollout.rollout, name="rollout"),
    path("rollouts/<int:pk>/progress/", views_rollout.progress, name="rollout_progress"),
    path("<int:pk>/", views.host, name="host"),
    path("<int:pk>/progress/", views.host_progress, name="host_progress"),
    path("<int:pk>/settings/", views.settings, name="settings"),
    path("<int:pk>/mta/", views.follow_mta, name="follow_mta"),
    path("<int:pk>/lines/", views.snippets, name="snippets"),
    path("<int:pk>/certificate/", views.certificate, name="certificate"),
    path("<int:pk>/check/", views_enrol.check, name="check"),
    path("<int:pk>/probe/", views_probing.probe, name="probe"),
    path("<int:pk>/key/", views_enrol.confirm_key, name="confirm_key"),
    path("<int:pk>/key/again/", views_enrol.read_key, name="read_key"),
    path("<int:pk>/remove/", views_enrol.remove, name="remove"),
    path("<int:pk>/accounts/go-on/", views.accounts_go_on, name="accounts_go_on"),
    path("<int:pk>/domains/", views.place_domains, name="place_domains"),
    path("<int:pk>/drift/", views_drift.drifted, name="drift"),
    path("<int:pk>/drift/progress/", views_drift.progress, name="drift_progress"),
    path("<int:pk>/drift/leave/", views_drift.leave, name="drift_leave"),
    path("<int:pk>/drift/take-over/", views_drift.take_over, name="drift_take_over"),
    path("<int:pk>/plan/", views_rollout.plan, name="plan"),
    path("<int:pk>/put-live/", views_rollout.put_live, name="put_live"),
    path("<int:pk>/generations/", views_rollout.generations, name="generations"),
    path("<int:pk>/generations/<int:number>/", views_rollout.generation, name="generation"),
    path("<int:pk>/generations/<int:number>/back/", views_rollout.go_back, name="go_back"),
]
