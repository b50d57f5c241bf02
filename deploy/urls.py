from django.urls import path

app_name = "deploy"
urlpatterns: list = []
